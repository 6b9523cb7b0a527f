"""Which source an image, a model or a file of a release comes from, by what the release file says of it.

Each kind of source is imported where a release has it: those that speak HTTP take a quarter of a second.
"""

from __future__ import annotations

from sealift.release.locked import LockedFile, LockedImage
from sealift.release.locked_model import LockedModel
from sealift.release.types import File, Image, Model
from sealift.sources.source import BuildMachine, Source


def image_source(image: Image, machine: BuildMachine) -> Source[LockedImage]:
    """Where an image comes from: its tarball, or else its registry."""
    if image.archive is not None:
        from sealift.sources.docker_archive import DockerArchive

        return DockerArchive(image.name, image.archive, machine)
    from sealift.sources.from_registry import RegistryImage

    return RegistryImage(image.name, machine)


def model_source(name: str, model: Model, machine: BuildMachine) -> Source[LockedModel]:
    """Where a model comes from: a Modelfile or an Ollama store, or else Ollama's registry.

    + name: MODEL:TAG
    """
    if model.modelfile is not None:
        from sealift.sources.from_modelfile import MadeModel

        return MadeModel(name, model.modelfile, machine)
    path = model.archive or model.store
    if path is not None:
        from sealift.sources.ollama_archive import StoredModel

        return StoredModel(name, path, machine)
    from sealift.sources.from_registry import RegistryModel

    return RegistryModel(name, machine)


def file_source(name: str, file: File, machine: BuildMachine) -> Source[LockedFile]:
    """Where a plain file comes from: an address, or else the sources folder.

    + name: in the release
    """
    if file.url is not None:
        from sealift.sources.web_file import WebFile

        return WebFile(name, file.url, file.sha256 or "", machine)
    from sealift.sources.plain_file import PlainFile

    return PlainFile(name, file, machine)
