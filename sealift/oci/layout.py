"""Reading an OCI image layout that somebody else wrote: bounded, and believed only digest by digest.

Source of the format: https://github.com/opencontainers/image-spec, image-layout.md and manifest.md of 1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from sealift import mistakes
from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.content import digest_of, read_foreign
from sealift.errors import SealiftError, one_line
from sealift.files import parse_json
from sealift.release.values import Digest, Foreign, Many, MediaType

LAYOUT_FILE = "oci-layout"
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'  # what stands in it
INDEX = "index.json"
SIGNATURE = "index.json.sig"
INDEX_LIMIT = 4 << 20  # bytes
MANIFESTS_LIMIT = 10 << 20  # bytes of all: a package takes about 300 of them; in memory it is 13 times that
SIGNATURE_LIMIT = 64 << 10  # bytes
REF_NAME = "org.opencontainers.image.ref.name"
TITLE = "org.opencontainers.image.title"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
PACKAGES_TYPE = "application/vnd.sealift.packages.v1"
ROLES_TYPE = "application/vnd.sealift.roles.v1"
FILES_TYPE = "application/vnd.sealift.files.v1"
FILE_TYPE = "application/octet-stream"
RELEASE_TYPE = "application/vnd.sealift.release.v1"
LOCK_TYPE = "application/vnd.sealift.lock.v1+json"
SBOM_TYPE = "application/vnd.cyclonedx+json"  # registered with IANA; its version stands in the content
CONTROL_TYPE = "application/vnd.sealift.control.v1"
# As IANA has them; a wheel is a ZIP file.
WHEEL_TYPE = "application/zip"
CODE_TYPE = "application/x-tar"
REQUIREMENTS_TYPE = "text/plain"
DEB_TYPE = "application/vnd.debian.binary-package"
PACKAGES_REF = "packages"
CONTROL_REF = "control"
RELEASE_REF = "release"
SBOM_REF = "sbom"
FILES_REF = "files"
ROLES_REF = "roles"

_Model = TypeVar("_Model", bound=Foreign)


class Descriptor(Foreign):
    """Points at a blob."""

    media_type: MediaType = Field(alias="mediaType")
    digest: Digest
    size: int = Field(ge=0, lt=1 << 53)
    annotations: dict[str, str] = Field(default_factory=dict)

    @property
    def blob(self) -> Blob:
        """What it points at."""
        return Blob(digest=self.digest, size=self.size)


class Index(Foreign):
    """`index.json`."""

    manifests: Many[Descriptor]


class Manifest(Foreign):
    """An image's, a model's or an artifact's manifest."""

    config: Descriptor
    layers: Many[Descriptor]


@dataclass(frozen=True)
class Entry:
    """One thing of a bundle: its reference name, its manifest and what that names."""

    ref: str
    descriptor: Descriptor
    manifest: Manifest


@dataclass(frozen=True)
class Layout:
    """A whole bundle as its index describes it."""

    digest: str
    entries: tuple[Entry, ...]

    def entry(self, ref: str) -> Entry:
        """The thing of this name.

        Raises SealiftError where there is none.
        """
        for entry in self.entries:
            if entry.ref == ref:
                return entry
        raise SealiftError(f"bundle: has no entry named {ref}. Was it made by `sealift build`?")

    def tables(self) -> frozenset[str]:
        """Digests of what must be read to know what else there is: the manifests and the lock.

        Raises SealiftError where the bundle has no lock.
        """
        lock = self.entry(RELEASE_REF).manifest.config.digest
        return frozenset({*(entry.descriptor.digest for entry in self.entries), lock})

    def blobs(self) -> dict[str, tuple[Blob, str]]:
        """Every blob by digest, with what it belongs to.

        Raises SealiftError where a blob is given two sizes.
        """
        found: dict[str, tuple[Blob, str]] = {}
        for entry in self.entries:
            for descriptor in (entry.descriptor, entry.manifest.config, *entry.manifest.layers):
                title = descriptor.annotations.get(TITLE)
                owner = one_line(f"{entry.ref}: {title}" if title else entry.ref)
                known, _ = found.setdefault(descriptor.digest, (descriptor.blob, owner))
                if known.size != descriptor.size:
                    raise SealiftError(
                        f"{owner}: {descriptor.digest} is said to have {known.size} bytes "
                        f"and {descriptor.size}. Build the bundle again."
                    )
        return found


def check_marker(bundle: Path) -> None:
    """Whether `oci-layout` is as sealift writes it: alone of a bundle's files, no digest leads to it.

    Raises SealiftError where it is missing or another.
    """
    if read_foreign(bundle / LAYOUT_FILE, INDEX_LIMIT) != LAYOUT:
        raise SealiftError(f"{bundle / LAYOUT_FILE}: is damaged, expected {LAYOUT.decode()}. Copy it again.")


def read_index(bundle: Path) -> bytes:
    """`index.json` of a bundle, as it is.

    Raises SealiftError where it is missing or too big.
    """
    return read_foreign(bundle / INDEX, INDEX_LIMIT)


def read_manifests(index: bytes) -> dict[str, tuple[Blob, str]]:
    """The manifests that an index names, by digest, with what each is of. They are not read.

    + index: `index.json`, verified already if it matters

    Raises SealiftError where it is not as OCI describes it.
    """
    named = _parse(Index, index, INDEX).manifests
    return {item.digest: (item.blob, item.annotations.get(REF_NAME, item.digest)) for item in named}


def read_layout(index: bytes, store: BlobStore, without: frozenset[str] = frozenset()) -> Layout:
    """Follow an index through its manifests, each checked against its digest.

    + index: `index.json`, verified already if it matters
    + store: where the manifests lie; their configs and layers are not read
    + without: digests of manifests to pass over

    Raises SealiftError naming what is missing, damaged, there twice or not as OCI describes it, and where all
    manifests together are too big: who reads them entry by entry reads one that is named often as often.
    """
    parsed = _parse(Index, index, INDEX)
    entries: dict[str, Entry] = {}
    manifests: dict[Blob, Manifest] = {}
    left = MANIFESTS_LIMIT
    for descriptor in parsed.manifests:
        if descriptor.digest in without:
            continue
        ref = descriptor.annotations.get(REF_NAME, descriptor.digest)
        where = one_line(ref)
        if ref in entries:
            raise SealiftError(
                f"{INDEX}: has two entries named {where}, expected one. Build the bundle again."
            )
        blob = descriptor.blob
        if blob.size > left:
            raise SealiftError(
                f"{INDEX}: its manifests have more than {MANIFESTS_LIMIT} bytes together, expected fewer. "
                "Is it a bundle that sealift build made?"
            )
        left -= blob.size
        if blob not in manifests:
            manifests[blob] = _parse(Manifest, read_small(store, blob, where, MANIFESTS_LIMIT), where)
        entries[ref] = Entry(ref, descriptor, manifests[blob])
    return Layout(digest_of(index).digest, tuple(entries.values()))


def read_small(store: BlobStore, blob: Blob, where: str, limit: int) -> bytes:
    """A small blob's content, checked against its digest.

    + where: what it belongs to, for messages
    + limit: bytes it may have

    Raises SealiftError naming blob and place where it is missing, too big or altered.
    """
    if blob.size > limit:
        raise SealiftError(f"{where}: {blob.digest} has {blob.size} bytes, expected {limit} at most.")
    try:
        content = read_foreign(store.path(blob), limit)
    except SealiftError as error:
        raise SealiftError(
            f"{where}: {blob.digest} is missing. Copy or import the bundle again. ({error})"
        ) from None
    if digest_of(content) != blob:
        raise SealiftError(f"{where}: {blob.digest} is damaged. Copy or import the bundle again.")
    return content


def _parse(kind: type[_Model], content: bytes, where: str) -> _Model:
    try:
        return kind.model_validate(parse_json(content, where))
    except ValidationError as error:
        raise SealiftError(f"{where}: {mistakes.first(error)}, expected OCI's form.") from None
