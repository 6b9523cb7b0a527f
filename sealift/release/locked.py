"""What a lock pins, as frozen types: `sealift lock` writes it, and it names everything in it by SHA-256."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sealift.blob import Blob
from sealift.release.types import File, Release
from sealift.release.values import (
    CONTROL,
    DebField,
    DebFieldValue,
    Digest,
    Frozen,
    GroupName,
    ImageName,
    Many,
    MediaType,
    ModelName,
    Name,
    PackageName,
    PackageVersion,
    RepositoryPath,
    SourcePath,
    WheelFile,
    WheelName,
    WheelVersion,
    is_empty,
    is_none,
)
from sealift.services import in_groups

# Media type of a model's weights, in Ollama's manifests.
WEIGHTS = "application/vnd.ollama.image.model"
_IN_MEMORY = (WEIGHTS, "application/vnd.ollama.image.projector", "application/vnd.ollama.image.adapter")
# What the control node's files are called beside its wheels, in a bundle and wherever they are shown.
CODE = "code.tar"
REQUIREMENTS = "requirements.txt"


class LockedPackage(Frozen):
    """A .deb: identity, place in its repository, and the control fields that apt resolves with."""

    name: PackageName
    version: PackageVersion
    architecture: Literal["amd64", "all"]
    source: Name
    path: RepositoryPath = Field(description="relative to its repository: no mirror is named in a lock")
    blob: Blob
    groups: Many[GroupName] = Field(description="with control alone it goes to no host")
    fields: dict[DebField, DebFieldValue] = Field(description="as in the Packages index")


class LockedImage(Frozen):
    """An image: the ID is the config's digest, as Docker's classic store has it."""

    name: ImageName
    archive: SourcePath | None = Field(default=None, exclude_if=is_none)
    manifest: Digest | None = Field(
        default=None, exclude_if=is_none, description="in its registry, of the one platform"
    )
    config: Blob
    layers: Many[Blob] = Field(description="uncompressed tar, so each digest is its diff ID too")

    @property
    def image_id(self) -> str:
        """The image ID on Docker's classic store."""
        return self.config.digest


class ModelLayer(Blob):
    """A layer of an Ollama model: weights, template, parameters, licence."""

    media_type: MediaType


class Vision(Frozen):
    """What decides over the memory that looking at an image takes."""

    image: int = Field(ge=1, description="pixels of a side")
    patch: int = Field(ge=1, description="pixels of a patch's side")
    width: int = Field(ge=1, description="the encoder's embedding length")
    heads: int = Field(ge=1, description="the encoder's attention heads")


class Shape(Frozen):
    """What decides over a model's memory, beside the size of its weights: see sealift/release/memory.py."""

    architecture: str = Field(description="as GGUF names it, such as gemma3")
    layers: int = Field(ge=1)
    heads: int = Field(ge=1, description="attention heads, of the layer with the most")
    heads_per_kv_head: int = Field(ge=1, description="of the layer with the most")
    width: int = Field(ge=1, description="embedding length")
    vocabulary: int = Field(ge=0, description="tokens")
    kv_bytes_per_token: int = Field(ge=0, description="bytes of KV cache for one token of context, at f16")
    quantizes_cache: bool = Field(description="whether the KV cache can be q8_0 or q4_0")
    embedding: int = Field(ge=0, description="bytes of the token embedding")
    tied: bool = Field(description="whether the token embedding is the output layer too")
    vision: Vision | None = Field(default=None, exclude_if=is_none)


class LockedModel(Frozen):
    """A model: Ollama's manifest, normalised to JSON without local paths, and the blobs it names."""

    archive: SourcePath | None = Field(
        default=None,
        exclude_if=is_none,
        description="or store or Modelfile: the path that it is out of, if it is",
    )
    manifest: Blob
    config: ModelLayer
    layers: Many[ModelLayer]
    context_length: int = Field(ge=1, description="the longest context the model was trained for, in tokens")
    shape: Shape = Field(description="what decides over its memory")

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Config and layers: what lies in an Ollama store's `blobs/`.

        As plain blobs, for what a layer is for does not matter to a store: a layer equals no plain blob.
        """
        return tuple(Blob(digest=layer.digest, size=layer.size) for layer in (self.config, *self.layers))

    @property
    def weights(self) -> int:
        """Bytes of the weights, those of image encoders and adapters too."""
        return sum(layer.size for layer in self.layers if layer.media_type in _IN_MEMORY)


class LockedWheel(Frozen):
    """A Python package for the control node, as a wheel for the Python of the release's suite."""

    name: WheelName
    version: WheelVersion
    file: WheelFile = Field(description="its name, by which pip knows what it is")
    blob: Blob


class LockedControl(Frozen):
    """What the control node starts from, beside the packages of group control."""

    code: Blob = Field(description="a plain tar of the project's files, as git tracks them")
    requirements: Blob = Field(description="pip's requirements file, with hashes")
    wheels: Many[LockedWheel]

    @property
    def files(self) -> tuple[tuple[str, Blob], ...]:
        """All of it, by the names that a bundle gives them."""
        wheels = ((wheel.file, wheel.blob) for wheel in self.wheels)
        return ((CODE, self.code), (REQUIREMENTS, self.requirements), *wheels)


class LockedFile(Frozen):
    """A plain file; where it goes is in the release."""

    blob: Blob


class Lock(Frozen):
    """A release with everything pinned to digests. Self-contained: the release file is in it."""

    release: Release
    keys: dict[Name, Digest] = Field(
        default={}, description="SHA-256 of the signing keys, by the source of packages that they vouch for"
    )
    packages: Many[LockedPackage]
    images: dict[str, LockedImage]
    models: dict[ModelName, LockedModel]
    files: dict[Name, LockedFile] = Field(default={}, exclude_if=is_empty)
    control: LockedControl | None = Field(default=None, exclude_if=is_none)

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Every blob that a lock names, each once. What a bundle adds of its own is not among them."""
        named = (
            *(package.blob for package in self.packages),
            *(blob for image in self.images.values() for blob in (image.config, *image.layers)),
            *(blob for model in self.models.values() for blob in (model.manifest, *model.blobs)),
            *(file.blob for file in self.files.values()),
            *(blob for _, blob in (self.control.files if self.control else ())),
        )
        return tuple({blob.digest: blob for blob in named}.values())

    def packages_for(self, groups: frozenset[str]) -> tuple[LockedPackage, ...]:
        """The packages of a host in these inventory groups; the control node's are not among them."""
        return tuple(package for package in self.packages if in_groups(groups - {CONTROL}, package.groups))

    @property
    def host_packages(self) -> tuple[LockedPackage, ...]:
        """The packages of any host; the control node's own are not among them."""
        return tuple(package for package in self.packages if set(package.groups) != {CONTROL})

    def images_for(self, groups: frozenset[str]) -> dict[str, LockedImage]:
        """The images of a host in these inventory groups, by service."""
        services = self.release.services_for(groups)
        return {service.name: self.images[service.image_name] for service in services}

    def models_for(self, groups: frozenset[str]) -> dict[str, LockedModel]:
        """The models that a host in these inventory groups may need.

        These are what could answer the roles that it serves, and what no role asks for.
        """
        if not any(service.serves_models for service in self.release.services_for(groups)):
            return {}
        asked = {model for role in self.release.roles.values() for model in role.candidates}
        here = {model for role in self.release.roles_for(groups).values() for model in role.candidates}
        kept = here | (self.models.keys() - asked)
        return {
            name: model
            for name, model in sorted(self.models.items())
            if name in kept and in_groups(groups, self.release.models[name].groups)
        }

    def files_for(self, groups: frozenset[str]) -> dict[str, tuple[File, Blob]]:
        """The files of a host in these inventory groups, by name: where each goes, and its content."""
        found = ((name, self.release.files[name], locked) for name, locked in sorted(self.files.items()))
        return {name: (file, locked.blob) for name, file, locked in found if in_groups(groups, (file.group,))}
