"""What a release file says, as frozen types: people write it (`releases/NAME.yaml`); it is parsed once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator

from sealift.release.groups import Groups, HostGroup
from sealift.release.role import Role
from sealift.release.values import (
    AptSuite,
    Day,
    Few,
    FileMode,
    FileTarget,
    FileUrl,
    Frozen,
    ImageName,
    ModelName,
    Name,
    Named,
    PackageName,
    RepositoryUrl,
    Sha256,
    SourcePath,
    SourceWord,
    SuiteName,
    Version,
    is_empty,
    is_none,
)
from sealift.service import ALL, Port, Service, in_groups
from sealift.services import SERVICES


class AptSource(Frozen):
    """An apt repository: a vendor's at its `url`, or one in a folder. Without `url` and `path` it is Debian.

    Debian is fetched from the mirror that the build machine's apt has.
    """

    path: SourcePath | None = Field(default=None, description="a repository below the sources folder")
    url: RepositoryUrl | None = Field(
        default=None,
        exclude_if=is_none,
        description="or where a vendor has one, such as https://download.docker.com/linux/debian",
    )
    key: SourcePath | None = Field(
        default=None,
        description="its signing key, below the sources folder; needed with `path` and with `url`",
    )
    suites: Few[AptSuite] = Field(
        default=(),
        description="default: SUITE, SUITE-updates and SUITE-security; / or ./ where a repository is flat",
    )
    components: Few[SourceWord] = ("main",)


class Packages(Frozen):
    """OS packages: where they come from, what a minimal host has, what every host gets.

    Any other key is an inventory group, and lists what its hosts get as well.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Few[PackageName]]

    sources: Named[Name, AptSource] = Field(description="repositories, by names of your own")
    base: Few[PackageName] = Field(
        default=(), description="on a minimal host already: these and all they need are not carried"
    )
    all: Few[PackageName] = Field(description="what every host gets")

    @property
    def of_groups(self) -> dict[str, tuple[str, ...]]:
        """By inventory group, what its hosts get as well."""
        return {group: tuple(names) for group, names in sorted(self.__pydantic_extra__.items())}

    @model_validator(mode="after")
    def _named_as_groups(self) -> Packages:
        _GROUP_NAMES.validate_python(list(self.__pydantic_extra__))
        return self


_GROUP_NAMES = TypeAdapter(list[HostGroup])


class Image(Frozen):
    """A container image: out of a tarball below the sources folder, or without one out of its registry.

    The tarball is `docker save`'s, of the classic form or OCI's, plain, gzip or zstd.
    """

    name: ImageName = Field(description="HOST/PATH:TAG in full, such as docker.io/ollama/ollama:0.11.4")
    archive: SourcePath | None = Field(
        default=None, exclude_if=is_none, description="the tarball, below the sources folder"
    )
    groups: Groups = Field(default=(ALL,), description="inventory groups whose hosts get it")


def _from_text(given: Any) -> Any:
    return {"name": given} if isinstance(given, str) else given


def _from_list(given: Any) -> Any:
    return {name: {} for name in given} if isinstance(given, list) else given


NamedImage = Annotated[Image, BeforeValidator(_from_text, json_schema_input_type=Image | ImageName)]


class Model(Frozen):
    """A model: out of an Ollama store below the sources folder, or of a .gguf file that a Modelfile names, or
    without either out of Ollama's registry.

    The store (`blobs/` and `manifests/`) is a tarball, plain, gzip or zstd, or a folder, which may be a link.
    """

    archive: SourcePath | None = Field(
        default=None, exclude_if=is_none, description="a tarball of the store, below the sources folder"
    )
    store: SourcePath | None = Field(
        default=None, exclude_if=is_none, description="or the store's own folder, below the sources folder"
    )
    modelfile: SourcePath | None = Field(
        default=None,
        exclude_if=is_none,
        description="or a Modelfile below the sources folder, whose FROM names a .gguf file there",
    )
    groups: Groups = Field(
        default=(ALL,),
        description="inventory groups whose hosts may have it; one that roles ask for goes "
        "only to hosts that serve such a role",
    )


Models = Annotated[
    Named[ModelName, Model],
    BeforeValidator(_from_list, json_schema_input_type=dict[ModelName, Model] | list[ModelName]),
]


class Control(Frozen):
    """The control node of a closed site, which starts from a bare Debian with nothing but the media."""

    base: Few[PackageName] = Field(
        default=("python3",),
        description="on a bare control node already, beside Debian's essential packages: not carried",
    )
    packages: Few[PackageName] = Field(
        default=(), description="Debian packages that the control node gets; none of them goes to a host"
    )
    python: SourcePath = Field(
        default="requirements.txt",
        description="requirements of sealift itself, with hashes as pip has them: a path below the project",
    )


class File(Frozen):
    """A plain file, such as a binary: from an address, or from below the sources folder."""

    url: FileUrl | None = Field(
        default=None, exclude_if=is_none, description="where it is downloaded, http or https; or path"
    )
    path: SourcePath | None = Field(
        default=None, exclude_if=is_none, description="or a path below the sources folder"
    )
    sha256: Sha256 | None = Field(
        default=None, exclude_if=is_none, description="of its content; needed with url"
    )
    target: FileTarget = Field(description="where it stands on hosts: below /usr/local, /opt or /srv")
    mode: FileMode = Field(
        default="0644", description="permissions in quotes; nobody but root may write: 0644, 0755, 0600"
    )
    group: HostGroup = Field(default=ALL, description="inventory group whose hosts get it")


class Release(Frozen):
    """A release file: what a fleet runs."""

    name: Name = Field(description="small letters, digits, dots and dashes")
    version: Version = Field(description="such as 2026.11.0; in quotes where it would be a number")
    expires: Day | None = Field(
        default=None,
        exclude_if=is_none,
        description="last day on which a site takes it, in UTC, such as 2027-05-31; without it, no end",
    )
    suite: SuiteName = Field(description="of Debian or Ubuntu, of every host")
    architecture: Literal["amd64"] = "amd64"
    packages: Packages
    images: Named[Name, NamedImage] = Field(
        description="container images, by service; one that is a name alone comes out of its registry"
    )
    models: Models = Field(
        description="MODEL:TAG as Ollama names it: see `sealift models`; a site's own have names of their own"
    )
    roles: Named[Name, Role] = Field(description="what applications ask for, such as chat or embed")
    files: Named[Name, File] = Field(
        default={}, exclude_if=is_empty, description="plain files for hosts, by names of your own"
    )
    control: Control | None = Field(
        default=None,
        exclude_if=is_none,
        description="what the control node starts from; without it, nothing",
    )

    @property
    def reference(self) -> str:
        """`NAME:VERSION`, by which an inventory and a depot call it."""
        return f"{self.name}:{self.version}"

    def services_for(self, groups: frozenset[str]) -> tuple[Service, ...]:
        """What a host in these inventory groups runs, in the order in which it starts."""
        found = tuple(
            service
            for service in SERVICES
            if service.image_name in self.images
            and in_groups(groups, service.groups)
            and in_groups(groups, self.images[service.image_name].groups)
        )
        while found != (kept := tuple(each for each in found if each.needs <= {one.name for one in found})):
            found = kept
        return found

    def ports_of(self, service: Service) -> tuple[Port, ...]:
        """Those that a service publishes on its hosts."""
        return service.ports_with(self.images)

    @property
    def merged_models(self) -> frozenset[str]:
        """Models whose parameters roles change."""
        changed = (r for r in self.roles.values() if r.parameters.given or r.threads is not None)
        return frozenset(model for role in changed for model in role.candidates)

    def threads_of(self, model: str) -> int | None:
        """With how many threads a model is loaded, by whatever name it is asked for: its roles agree."""
        return next((role.threads for role in self.roles.values() if model in role.candidates), None)

    def roles_for(self, groups: frozenset[str]) -> dict[str, Role]:
        """The roles that a host in these inventory groups serves."""
        serves = any(service.serves_models for service in self.services_for(groups))
        return {name: role for name, role in self.roles.items() if serves and in_groups(groups, role.groups)}
