"""The generation: everything that is configuration on a host, placed whole and activated by one rename."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from sealift.host.wanted import Wanted
from sealift.operations.generation import generation_active, generation_present, generation_valid
from sealift.operations.live import live_files_placed


@deploy("Generation")
def place_generation(wanted: Wanted) -> None:
    """Place the host's generation, have the images judge it, then activate it; its services follow it."""
    generation_present(name="Place the generation", generation=wanted.generation)
    for service in host.loop([service for service in wanted.services if service.validate]):
        generation_valid(
            name=f"Have the image of {service.name} judge its configuration",
            generation=wanted.generation,
            service=service,
            image=wanted.images[service.name].name,
        )
    generation_active(name="Activate the generation", generation=wanted.generation)
    live_files_placed(name="Place what running services read anew", wanted=wanted)
