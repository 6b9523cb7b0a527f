"""Manifests, indexes and configs of images as others wrote them, of Docker's types and of OCI's.

Sources of the formats: manifest.md, image-index.md and config.md of github.com/opencontainers/image-spec 1.1;
manifest-v2-2.md of github.com/distribution/distribution.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from sealift import mistakes
from sealift.blob import Blob
from sealift.errors import SealiftError
from sealift.files import parse_json
from sealift.release.values import Digest, Foreign, Many, MediaType

MANIFEST_LIMIT = 4 << 20  # bytes: what registries take at most
CONFIG_LIMIT = 8 << 20  # bytes
LAYERS = 512
CONFIG_KEYS = 20_000  # of an object: an image may expose each port by a key of its own
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# Under which names an index keeps several images: containerd's in full, and the tag alone.
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


_Word = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,64}$")]


class _Platform(Foreign):
    os: _Word
    architecture: _Word


class Descriptor(Foreign):
    """Points at a blob of an image."""

    media_type: MediaType = Field(alias="mediaType")
    digest: Digest
    size: int = Field(ge=0, lt=1 << 53)
    platform: _Platform | None = None
    annotations: dict[str, str] | None = None

    @property
    def blob(self) -> Blob:
        """What it points at."""
        return Blob(digest=self.digest, size=self.size)

    @property
    def names(self) -> frozenset[str]:
        """What an index calls it: a whole name, or the tag alone."""
        return frozenset(found for key in _NAMES if (found := (self.annotations or {}).get(key)))

    def is_named(self, name: str) -> bool:
        """Whether it is called so.

        + name: HOST/PATH:TAG
        """
        return bool({name, name.rpartition(":")[2]} & self.names)


class Manifest(Foreign):
    """One image: its config and its layers, the lowest first, mostly compressed."""

    config: Descriptor
    layers: Many[Descriptor] = Field(min_length=1, max_length=LAYERS)


class _Index(Foreign):
    manifests: Many[Descriptor] = Field(max_length=1024)


class _RootFs(Foreign):
    diff_ids: Many[Digest] = Field(max_length=LAYERS)


class _Config(Foreign):
    architecture: _Word
    os: _Word
    rootfs: _RootFs


def parse_manifest(content: bytes, where: str) -> Manifest | tuple[Descriptor, ...]:
    """Parse what a digest or a tag leads to: a manifest, or the entries of an index.

    + where: what it is, for messages

    Raises SealiftError where it is neither.
    """
    parsed = parse_json(content, where)
    try:
        if isinstance(parsed, dict) and "manifests" in parsed:
            return _Index.model_validate(parsed).manifests
        return Manifest.model_validate(parsed)
    except ValidationError as error:
        place = mistakes.place(error.errors()[0])
        raise SealiftError(f"{where}: {place} is not as an image has it. Make or push it again.") from None


def choose(entries: tuple[Descriptor, ...], name: str, where: str) -> Descriptor:
    """The entry of an index that is for linux/amd64, and of that name where there are several.

    + name: HOST/PATH:TAG
    + where: what the index is, for messages

    Raises SealiftError where that is none or more than one.
    """
    known = [entry for entry in entries if entry.media_type in INDEX_TYPES + MANIFEST_TYPES]
    fitting = [
        entry
        for entry in known
        if entry.platform is None or (entry.platform.os, entry.platform.architecture) == ("linux", "amd64")
    ]
    if len({entry.digest for entry in fitting}) > 1:
        fitting = [entry for entry in fitting if entry.is_named(name)]
    if len({entry.digest for entry in fitting}) != 1:
        has = ", ".join(
            sorted({f"{e.platform.os}/{e.platform.architecture}" for e in known if e.platform is not None})
        )
        raise SealiftError(
            f"{where}: does not have {name} for linux/amd64 once{', it has ' + has if has else ''}. "
            "Name an image that does."
        )
    return fitting[0]


def read_diff_ids(config: bytes, layers: int, where: str) -> tuple[str, ...]:
    """The digests of an image's uncompressed layers, out of its config.

    + layers: how many its manifest has
    + where: what it is, for messages

    Raises SealiftError where this is no config, or one of another machine or other layers.
    """
    try:
        parsed = _Config.model_validate(parse_json(config, where, CONFIG_KEYS))
    except ValidationError:
        raise SealiftError(f"{where}: is not an image's config. Save or push the image again.") from None
    if (parsed.os, parsed.architecture) != ("linux", "amd64"):
        raise SealiftError(
            f"{where}: is for {parsed.os}/{parsed.architecture}, expected linux/amd64. Get that one."
        )
    if len(parsed.rootfs.diff_ids) != layers:
        raise SealiftError(
            f"{where}: has {len(parsed.rootfs.diff_ids)} layers, its manifest {layers}. "
            "Save or push the image again."
        )
    return parsed.rootfs.diff_ids
