"""What a lock pins, as frozen types: `sealift lock` writes it, and it names everything in it by SHA-256."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sealift.blob import Blob
from sealift.release.locked_model import LockedModel, ModelLayer
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
from sealift.release.variants import Variant, variant_of
from sealift.service import in_groups

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
            *(Blob(digest=layer.digest, size=layer.size) for _, layer, _ in self.made),
            *(file.blob for file in self.files.values()),
            *(blob for _, blob in (self.control.files if self.control else ())),
        )
        return tuple({blob.digest: blob for blob in named}.values())

    def variant(self, model: str, role: str | None = None) -> Variant:
        """A model as Ollama has it under a role's name; without a role, under its own."""
        of_role = None if role is None else self.release.roles[role]
        return variant_of(self.models[model], self.release.threads_of(model), of_role)

    @property
    def made(self) -> tuple[tuple[str, ModelLayer, bytes], ...]:
        """What roles bring of their own, whichever model answers: title, layer and content."""
        roles = sorted(self.release.roles.items())
        named = [
            *((model, self.variant(model)) for model in sorted(self.models)),
            *((f"{name}/{model}", self.variant(model, name)) for name, r in roles for model in r.candidates),
        ]
        return tuple(
            (f"{title}/{layer.media_type.rpartition('.')[2]}", layer, content)
            for title, variant in named
            for layer, content in variant.made.items()
        )

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
