"""The release's models, and the roles that they play."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from sealift.operations.models import model_placed, only_models
from sealift.release.ollama_archive import model_manifest
from sealift.release.types import Lock
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
            tags=(tag, *_roles_of(tag, lock)),
        )
    only_models(
        name="Remove models that the release does not have",
        tags=tuple(tag for model in lock.models for tag in (model, *_roles_of(model, lock))),
        blobs=tuple(blob for model in lock.models.values() for blob in model.blobs),
    )


def _roles_of(tag: str, lock: Lock) -> tuple[str, ...]:
    """The roles of a model as tags: Ollama takes a name without one for `latest`."""
    return tuple(f"{name}:latest" for name, role in sorted(lock.release.roles.items()) if role.model == tag)
