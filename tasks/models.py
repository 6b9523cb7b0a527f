"""The release's models, and the roles that they play."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from sealift.host.wanted import Wanted
from sealift.operations.models import model_placed, models_reloaded, only_models
from sealift.release.ollama_manifest import model_manifest
from sealift.release.roles import role_tags


@deploy("Models")
def place_models(wanted: Wanted) -> None:
    """Place each model out of the host store, under its own name and those of the roles it answers."""
    models, answering = wanted.models, wanted.answers
    for tag, model in host.loop(sorted(models.items())):
        model_placed(
            name=f"Place model {tag}",
            blobs=model.blobs,
            manifest=model_manifest(model),
            tags=(tag, *role_tags(answering, tag)),
        )
    only_models(
        name="Remove models that the release does not have here",
        tags=tuple(tag for model in models for tag in (model, *role_tags(answering, model))),
        blobs=tuple(blob for model in models.values() for blob in model.blobs),
    )
    for service in host.loop([service for service in wanted.services if service.serves_models]):
        models_reloaded(name=f"Load repaired models anew in {service.name}", project=service.project)
