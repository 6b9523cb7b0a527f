"""The release's models, and the roles that they play."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from sealift.operations.models import model_placed, only_models
from sealift.release.ollama_archive import model_manifest
from sealift.release.roles import role_tags
from tasks.site import site


@deploy("Models")
def place_models() -> None:
    """Place each model out of the host store, under its own name and under those of its roles."""
    lock = site().lock
    for tag, model in host.loop(sorted(lock.models.items())):
        model_placed(
            name=f"Place model {tag}",
            blobs=model.blobs,
            manifest=model_manifest(model),
            tags=(tag, *role_tags(lock, tag)),
        )
    only_models(
        name="Remove models that the release does not have",
        tags=tuple(tag for model in lock.models for tag in (model, *role_tags(lock, model))),
        blobs=tuple(blob for model in lock.models.values() for blob in model.blobs),
    )
