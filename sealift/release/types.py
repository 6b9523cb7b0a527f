"""What a release file says and what its lock pins, as frozen types.

The release file is written by people (`releases/NAME.yaml`); the lock is written by `sealift lock` and
names everything in it by SHA-256. Both are parsed once, here, and passed on as data.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, StringConstraints

T = TypeVar("T")


class UpToFirst(FailFast):
    """What others wrote is read up to its first mistake: a small file can have a million, a kilobyte each."""

    __slots__ = ()

    def __hash__(self) -> int:
        """Pydantic's own has none; a union such as `Many[str] | None` needs it."""
        return hash(UpToFirst)


Many = Annotated[tuple[T, ...], UpToFirst()]


def _few(given: Any) -> Any:
    if isinstance(given, list | tuple) and len(given) > _FEW:
        raise ValueError(f"has {len(given)} entries, expected {_FEW} at most")
    return given


_FEW = 2000
Few = Annotated[tuple[T, ...], BeforeValidator(_few)]
"""What people write: every mistake in it is told."""
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+~_-]{0,62}$")]
# A path below the sources folder: relative, no part begins with a dot. The resolvers check links as well.
SourcePath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+~-]*(/[A-Za-z0-9_][A-Za-z0-9._+~-]*)*$")
]
# Debian's releases that hosts may run.
SuiteName = Literal["bookworm", "trixie"]
# Debian policy 5.6.7 and 5.6.12.
PackageName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]
PackageVersion = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+~:-]*$")]
# Who gets a package: every host, hosts of the inventory group gpu, the control node.
PackageGroup = Literal["all", "gpu", "control"]
# A path in a repository: no part begins with a dot, no blanks or control characters.
_PART = r"[^./\x00-\x20\x7f][^/\x00-\x20\x7f]*"
RepositoryPath = Annotated[str, StringConstraints(pattern=f"^{_PART}(/{_PART})*$")]
# What apt and dpkg resolve, sort and show by. Source: deb-control(5).
CONTROL_FIELDS = (
    *("Essential", "Protected", "Multi-Arch", "Pre-Depends", "Depends", "Recommends", "Suggests"),
    *("Provides", "Conflicts", "Breaks", "Replaces", "Enhances"),
    *("Source", "Section", "Priority", "Maintainer", "Installed-Size", "Description"),
)
ControlField = Annotated[str, StringConstraints(pattern=f"^({'|'.join(CONTROL_FIELDS)})$")]
# One line: in an index a second one would be another field.
ControlValue = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x08\x0a-\x1f\x7f]*$")]
# A word of a line of sources.list(5).
SourceWord = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.][A-Za-z0-9._/+~-]*$")]
# A suite, or with a slash at its end the folder of a flat repository: / is the repository's own.
AptSuite = Annotated[str, StringConstraints(pattern=r"^(/|[A-Za-z0-9.][A-Za-z0-9._/+~-]*)$")]
# Less than RFC 3986 allows: no login, no query, and nothing that apt would take for another word.
REPOSITORY_URL = r"^https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[A-Za-z0-9_~+%-][A-Za-z0-9._~+%-]*)*/?$"
RepositoryUrl = Annotated[str, StringConstraints(pattern=REPOSITORY_URL)]
MediaType = Annotated[str, StringConstraints(pattern=r"^[!-~][ -~]{0,254}$")]
# HOST/PATH:TAG in full, so that no engine completes it with a default registry.
ImageName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9][a-z0-9.-]*(?::[0-9]+)?(?:/[a-z0-9._-]+)+:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"
    ),
]
# Ollama's MODEL:TAG of the library namespace.
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*:[A-Za-z0-9][A-Za-z0-9._-]*$")]

# A Python package's name, normalised. Source: PEP 503.
WheelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
# Source: PEP 440.
WheelVersion = Annotated[str, StringConstraints(pattern=r"^[0-9][A-Za-z0-9.!+]*$")]
# NAME-VERSION(-BUILD)-PYTHON-ABI-PLATFORM.whl. Source: PEP 427.
WheelFile = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9_.]+-[0-9][A-Za-z0-9_.!+]*(-[0-9][A-Za-z0-9_.]*)?(-[A-Za-z0-9_.]+){3}\.whl$"
    ),
]

# HTTP or HTTPS, without a login, which would stand in every lock, and without a fragment.
FileUrl = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]+)?/[!-\"$-~]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# Where no package has files, so that nothing of a package is ever replaced. Source: FHS 3.0, 3.13, 3.17, 4.9.
TARGETS = ("/usr/local/", "/opt/", "/srv/")
_PLAIN = r"[A-Za-z0-9_][A-Za-z0-9._+-]*"
FileTarget = Annotated[str, StringConstraints(pattern=f"^/(usr/local|opt|srv)(/{_PLAIN})+$")]
# Octal; root alone may write, and nothing runs as another than who starts it.
FileMode = Annotated[str, StringConstraints(pattern=r"^0[4-7][0145][0145]$")]

# Media type of a model's weights, in Ollama's manifests.
WEIGHTS = "application/vnd.ollama.image.model"
_IN_MEMORY = (WEIGHTS, "application/vnd.ollama.image.projector", "application/vnd.ollama.image.adapter")
# What the control node's files are called beside its wheels, in a bundle and wherever they are shown.
CODE = "code.tar"
REQUIREMENTS = "requirements.txt"


class Frozen(BaseModel):
    """Base of all data here: immutable, and a key that nobody defined is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _is_none(value: object) -> bool:
    return value is None


def _is_empty(value: object) -> bool:
    return not value


class AptSource(Frozen):
    """An apt repository: a vendor's at its `url`, or one in a folder. Without `url` and `path` it is Debian.

    Debian is fetched from the mirror that the build machine's apt has.
    """

    path: SourcePath | None = Field(default=None, description="a repository below the sources folder")
    url: RepositoryUrl | None = Field(
        default=None,
        exclude_if=_is_none,
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
    """OS packages: where they come from, what a minimal host has, what every host and each group gets."""

    sources: dict[Name, AptSource] = Field(description="repositories, by names of your own")
    base: Few[PackageName] = Field(
        default=(), description="on a minimal host already: these and all they need are not carried"
    )
    all: Few[PackageName] = Field(description="what every host gets")
    gpu: Few[PackageName] = Field(default=(), description="what hosts of the inventory group gpu get as well")


class Image(Frozen):
    """A container image: out of a tarball below the sources folder, or without one out of its registry.

    The tarball is `docker save`'s, of the classic form or OCI's, plain, gzip or zstd.
    """

    name: ImageName = Field(description="HOST/PATH:TAG in full, such as docker.io/ollama/ollama:0.11.4")
    archive: SourcePath | None = Field(
        default=None, exclude_if=_is_none, description="the tarball, below the sources folder"
    )


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
        default=None, exclude_if=_is_none, description="a tarball of the store, below the sources folder"
    )
    store: SourcePath | None = Field(
        default=None, exclude_if=_is_none, description="or the store's own folder, below the sources folder"
    )
    modelfile: SourcePath | None = Field(
        default=None,
        exclude_if=_is_none,
        description="or a Modelfile below the sources folder, whose FROM names a .gguf file there",
    )


Models = Annotated[
    dict[ModelName, Model],
    BeforeValidator(_from_list, json_schema_input_type=dict[ModelName, Model] | list[ModelName]),
]


class Role(Frozen):
    """What applications ask for; which model answers is the release's business."""

    model: ModelName = Field(description="which of the release's models answers")
    fallback: tuple[ModelName, ...] = Field(
        default=(),
        exclude_if=_is_empty,
        description="which answer in its place, the first that fits, on hosts whose memory it does not fit",
    )
    context: int = Field(default=4096, ge=256, description="tokens of one request; costs memory")
    parallel: int = Field(default=1, ge=1, le=64, description="requests answered at once; costs memory")

    @property
    def candidates(self) -> tuple[str, ...]:
        """The models that may answer, the best first."""
        return (self.model, *self.fallback)


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
        default=None, exclude_if=_is_none, description="where it is downloaded, http or https; or path"
    )
    path: SourcePath | None = Field(
        default=None, exclude_if=_is_none, description="or a path below the sources folder"
    )
    sha256: Sha256 | None = Field(
        default=None, exclude_if=_is_none, description="of its content; needed with url"
    )
    target: FileTarget = Field(description="where it stands on hosts: below /usr/local, /opt or /srv")
    mode: FileMode = Field(
        default="0644", description="permissions in quotes; nobody but root may write: 0644, 0755, 0600"
    )
    group: Literal["all", "gpu"] = Field(default="all", description="which hosts get it")


class Release(Frozen):
    """A release file: what a fleet runs."""

    name: Name = Field(description="small letters, digits, dots and dashes")
    version: Version = Field(description="such as 2026.11.0; in quotes where it would be a number")
    suite: SuiteName = Field(description="Debian's, of every host")
    architecture: Literal["amd64"] = "amd64"
    packages: Packages
    images: dict[Literal["ollama", "gateway"], NamedImage] = Field(
        description="container images, by their use; one that is a name alone comes out of its registry"
    )
    models: Models = Field(
        description="MODEL:TAG as Ollama names it: see `sealift models`; a site's own have names of their own"
    )
    roles: dict[Name, Role] = Field(description="what applications ask for, such as chat or embed")
    files: dict[Name, File] = Field(
        default={}, exclude_if=_is_empty, description="plain files for hosts, by names of your own"
    )
    control: Control | None = Field(
        default=None,
        exclude_if=_is_none,
        description="what the control node starts from; without it, nothing",
    )

    @property
    def reference(self) -> str:
        """`NAME:VERSION`, by which an inventory and a depot call it."""
        return f"{self.name}:{self.version}"


class Blob(Frozen):
    """Content named by its SHA-256, with its size in bytes."""

    digest: Digest
    size: int = Field(ge=0)

    @property
    def hex(self) -> str:
        """The digest without `sha256:`, as blobs are named in files."""
        return self.digest.removeprefix("sha256:")


class LockedPackage(Frozen):
    """A .deb: identity, place in its repository, and the control fields that apt resolves with."""

    name: PackageName
    version: PackageVersion
    architecture: Literal["amd64", "all"]
    source: Name
    path: RepositoryPath = Field(description="relative to its repository: no mirror is named in a lock")
    blob: Blob
    groups: Many[PackageGroup] = Field(description="with control alone it goes to no host")
    control: dict[ControlField, ControlValue] = Field(description="as in the Packages index")


class LockedImage(Frozen):
    """An image: the ID is the config's digest, as Docker's classic store has it."""

    name: ImageName
    archive: SourcePath | None = Field(default=None, exclude_if=_is_none)
    manifest: Digest | None = Field(
        default=None, exclude_if=_is_none, description="in its registry, of the one platform"
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
    vision: Vision | None = Field(default=None, exclude_if=_is_none)


class LockedModel(Frozen):
    """A model: Ollama's manifest, normalised to JSON without local paths, and the blobs it names."""

    archive: SourcePath | None = Field(
        default=None,
        exclude_if=_is_none,
        description="or store or Modelfile: the path that it is out of, if it is",
    )
    manifest: Blob
    config: ModelLayer
    layers: Many[ModelLayer]
    context_length: int = Field(ge=1, description="the longest context the model was trained for, in tokens")
    shape: Shape = Field(description="what decides over its memory")

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Config and layers: what lies in an Ollama store's `blobs/`."""
        return (self.config, *self.layers)

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
    files: dict[Name, LockedFile] = Field(default={}, exclude_if=_is_empty)
    control: LockedControl | None = Field(default=None, exclude_if=_is_none)

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
        # plain blobs: what a layer is for does not matter to a store
        return tuple({b.digest: Blob(digest=b.digest, size=b.size) for b in named}.values())

    def packages_for(self, groups: frozenset[str]) -> tuple[LockedPackage, ...]:
        """The packages of a host in these inventory groups; the control node's are not among them."""
        wanted = {"all"} | (groups & {"gpu"})
        return tuple(package for package in self.packages if wanted & set(package.groups))

    def files_for(self, groups: frozenset[str]) -> dict[str, tuple[File, Blob]]:
        """The files of a host in these inventory groups, by name: where each goes, and its content."""
        wanted = {"all"} | (groups & {"gpu"})
        found = ((name, self.release.files[name], locked) for name, locked in sorted(self.files.items()))
        return {name: (file, locked.blob) for name, file, locked in found if file.group in wanted}
