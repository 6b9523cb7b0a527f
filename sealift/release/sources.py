"""Which source an image or a model of a release comes from, by what the release file says of it."""

from __future__ import annotations

from sealift.errors import SealiftError
from sealift.release.docker_archive import DockerArchive
from sealift.release.ollama_archive import StoredModel
from sealift.release.source import BuildMachine, ImageSource, ModelSource
from sealift.release.types import Image, Model


def image_source(image: Image, machine: BuildMachine) -> ImageSource:
    """Where an image comes from."""
    return DockerArchive(image.name, image.archive, machine)


def model_source(name: str, model: Model, machine: BuildMachine) -> ModelSource:
    """Where a model comes from.

    + name: MODEL:TAG
    """
    path = model.archive or model.store
    if path is None:
        raise SealiftError(f"models.{name}: has neither archive nor store. Add one to the release file.")
    return StoredModel(name, path, machine)
