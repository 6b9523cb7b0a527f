"""The generation: everything that is configuration on a host, placed whole and activated by one rename."""

from __future__ import annotations

from pyinfra.api import deploy

from sealift.host.wanted import Wanted
from sealift.operations.generation import generation_active, generation_present


@deploy("Generation")
def place_generation(wanted: Wanted) -> None:
    """Place the host's generation, then activate it; its services follow it in a task of their own."""
    generation_present(name="Place the generation", generation=wanted.generation)
    generation_active(name="Activate the generation", generation=wanted.generation)
