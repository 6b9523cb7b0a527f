"""Which source an image or a model of a release comes from, by what the release file says of it."""

from __future__ import annotations

from sealift.release.docker_archive import DockerArchive
from sealift.release.from_modelfile import MadeModel
from sealift.release.from_registry import RegistryImage, RegistryModel
from sealift.release.ollama_archive import StoredModel
from sealift.release.source import BuildMachine, ImageSource, ModelSource
from sealift.release.types import Image, Model


def image_source(image: Image, machine: BuildMachine) -> ImageSource:
    """Where an image comes from: its tarball, or else its registry."""
    if image.archive is not None:
        return DockerArchive(image.name, image.archive, machine)
    return RegistryImage(image.name, machine)


def model_source(name: str, model: Model, machine: BuildMachine) -> ModelSource:
    """Where a model comes from: a Modelfile or an Ollama store, or else Ollama's registry.

    + name: MODEL:TAG
    """
    if model.modelfile is not None:
        return MadeModel(name, model.modelfile, machine)
    path = model.archive or model.store
    if path is not None:
        return StoredModel(name, path, machine)
    return RegistryModel(name, machine)
