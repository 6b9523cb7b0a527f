"""The release's models, and the roles that they play. Others go last: tasks/garbage.py."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from sealift.host.wanted import Wanted
from sealift.operations.hold import hold_of
from sealift.operations.models import model_placed, models_reloaded
from sealift.release.ollama_manifest import manifest_bytes


@deploy("Models")
def place_models(wanted: Wanted) -> None:
    """Place each model out of the host store, under its own name and those of the roles it answers."""
    for named in host.loop(wanted.names):
        model_placed(
            name=f"Place {named.title}",
            blobs=named.variant.blobs,
            manifest=manifest_bytes(named.variant.manifest),
            tags=named.tags,
        )
    for service in host.loop([service for service in wanted.services if service.serves_models]):
        models_reloaded(
            name=f"Load repaired models anew in {service.name}",
            project=service.project,
            hold=hold_of(wanted.settings.gateway),
        )
