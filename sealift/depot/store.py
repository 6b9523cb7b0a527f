"""The site's store on the control node: imported bundles and their blobs.

blobs/sha256/HEX                content, read-only
bundles/HEX/index.json, .sig    what was imported, as it was signed
bundles/HEX/repository/         its packages as an apt repository, signed by the site's key
releases/NAME/VERSION           the bundle's digest, written last
apt-key.pgp                     the site's OpenPGP key, mode 0600
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pysequoia

from sealift.blobs import BlobStore
from sealift.depot import repository
from sealift.depot.repository import SignedRepository
from sealift.errors import SealiftError
from sealift.files import read_limited, write_atomically
from sealift.oci.layout import INDEX, INDEX_LIMIT, RELEASE_REF, Layout, read_layout, read_small
from sealift.release.locked import Lock
from sealift.release.lockfile import LOCK_LIMIT, parse_lock

_REFERENCE = re.compile(
    r"([a-z0-9][a-z0-9.-]{0,62})(?::([A-Za-z0-9][A-Za-z0-9.+~_-]{0,62})|@(sha256:[0-9a-f]{64}))"
)
# apt refuses a date that is ahead of its host by more than Acquire::Max-FutureTime, 10 s; preflight lets a
# host's clock be minutes behind. Source: apt.conf(5).
_BACKDATED = timedelta(days=1)
_REPOSITORY_FILES = ("key.asc", "InRelease", "Packages")
_KEY = "apt-key.pgp"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_POINTER_LIMIT = 1024  # bytes
# By what a depot is known, also where an import was killed, or START.py, before there was a release.
_BEGINNINGS = frozenset({"bundles", "releases", "blobs", "partial", "incoming", _KEY})


@dataclass(frozen=True)
class StoredRelease:
    """A release in the depot: the digest of its bundle and its lock."""

    digest: str
    lock: Lock


class Depot:
    """A site's store. Reading needs no lock: names are given to whole things only."""

    def __init__(self, path: Path) -> None:
        """Open a depot.

        + path: its folder; made by the first import
        """
        self.path = path
        self.store = BlobStore(path)

    def require(self) -> None:
        """Raises SealiftError where its folder is no depot, or this user may not work in it."""
        if not any((self.path / name).exists() for name in _BEGINNINGS):
            raise SealiftError(
                f"{self.path}: is no depot, expected the folder that sealift import fills. "
                "Name that one with --depot."
            )
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise SealiftError(f"{self.path}: no permission. Run this as the depot's owner, such as root.")

    def require_room_for_it(self) -> None:
        """Raises SealiftError where its folder has other things: nothing is imported beside those."""
        try:
            names = {path.name for path in self.path.iterdir()}
        except FileNotFoundError:
            return
        except PermissionError:
            raise SealiftError(
                f"{self.path}: no permission. Run this as the depot's owner, such as root."
            ) from None
        if names and names.isdisjoint(_BEGINNINGS):
            raise SealiftError(
                f"{self.path}: is not empty and no depot, expected a depot or an empty folder. "
                "Name another one with --depot."
            )

    def resolve(self, reference: str) -> StoredRelease:
        """Find a release.

        + reference: `NAME:VERSION` or `NAME@sha256:HEX`, the digest being the bundle's

        Raises SealiftError naming what the depot has where it is not there.
        """
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise SealiftError(f"{reference}: is no release, expected NAME:VERSION or NAME@sha256:DIGEST.")
        name, version, digest = match.groups()
        if version is not None and self.pointer(name, version).exists():
            digest = read_pointer(self.pointer(name, version))
        if digest is None or not (self.bundle(digest) / INDEX).is_file():
            known = ", ".join(self._pointers()) or "nothing"
            raise SealiftError(
                f"{reference}: not in the depot {self.path}, which has {known}. Run sealift import BUNDLE."
            )
        stored = self.load(digest)
        if stored.lock.release.name != name:
            raise SealiftError(
                f"{reference}: this digest is of {stored.lock.release.name}. Correct the name."
            )
        return stored

    def releases(self) -> dict[str, str]:
        """Every release as `NAME:VERSION`, sorted, with its bundle's digest.

        Raises SealiftError where one cannot be read.
        """
        return {name: read_pointer(path) for name, path in self._pointers().items()}

    def readable_releases(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """The same of those that can be read, and what is wrong with the others."""
        found: dict[str, str] = {}
        broken: list[str] = []
        for name, path in self._pointers().items():
            try:
                found[name] = read_pointer(path)
            except SealiftError as error:
                broken.append(f"{name}: {error}")
        return found, tuple(broken)

    def pointer(self, name: str, version: str) -> Path:
        """The file that says which bundle a release is."""
        return self.path / "releases" / name / version

    def _pointers(self) -> dict[str, Path]:
        paths = sorted((self.path / "releases").glob("[a-z0-9]*/[A-Za-z0-9]*"))
        return {f"{path.parent.name}:{path.name}": path for path in paths}

    def blob_path(self, digest: str) -> Path:
        """Where the blob of this digest lies.

        Raises SealiftError where the depot has none.
        """
        path = self.store.folder / digest.removeprefix("sha256:")
        if not path.is_file():
            raise SealiftError(f"{digest}: not in the depot {self.path}. Import the bundle again.")
        return path

    def bundle(self, digest: str) -> Path:
        """The folder of an imported bundle's own files."""
        return self.path / "bundles" / digest.removeprefix("sha256:")

    def load(self, digest: str) -> StoredRelease:
        """Read an imported bundle's lock.

        + digest: the bundle's

        Raises SealiftError where the depot was damaged.
        """
        return StoredRelease(digest, read_lock(self.layout(digest), self.store))

    def layout(self, digest: str) -> Layout:
        """Read an imported bundle's index and manifests.

        + digest: the bundle's

        Raises SealiftError where the depot was damaged.
        """
        index = read_limited(self.bundle(digest) / INDEX, INDEX_LIMIT)
        if f"sha256:{hashlib.sha256(index).hexdigest()}" != digest:
            raise SealiftError(f"{self.bundle(digest) / INDEX}: was altered. Import the bundle again.")
        return read_layout(index, self.store)


def read_pointer(path: Path) -> str:
    """The digest of the bundle that a release is.

    Raises SealiftError where the file was damaged.
    """
    try:
        digest = read_limited(path, _POINTER_LIMIT).decode(errors="replace").strip()
    except SealiftError as error:
        raise SealiftError(f"{error} Import its bundle again.") from None
    if _DIGEST.fullmatch(digest) is None:
        raise SealiftError(f"{path}: is damaged, expected a bundle's digest. Import its bundle again.")
    return digest


def read_lock(layout: Layout, store: BlobStore) -> Lock:
    """The lock that a bundle carries.

    + store: where its blobs lie

    Raises SealiftError where it is missing, damaged or not a lock.
    """
    blob = layout.entry(RELEASE_REF).manifest.config.blob
    return parse_lock(read_small(store, blob, "release: lock", LOCK_LIMIT), "release: lock")


def sign_repository(depot: Depot, stored: StoredRelease) -> SignedRepository:
    """A release's packages as a signed apt repository: made at import, and left alone while it is right.

    + depot: whose key signs
    + stored: a release in it
    """
    key = repository.site_key(depot.path / _KEY)
    with suppress(SealiftError):
        found = signed_repository(depot, stored)
        if repository.is_right(found, stored.lock, key):
            return found
    made = repository.sign(stored.lock, key, datetime.now(UTC) - _BACKDATED)
    for name, content in zip(_REPOSITORY_FILES, (made.key, made.inrelease, made.packages), strict=True):
        write_atomically(depot.bundle(stored.digest) / "repository" / name, content)
    return made


def read_key(depot: Depot) -> pysequoia.Tsk:
    """The site's key, which signs its apt repositories.

    Raises SealiftError where it is missing or damaged.
    """
    return repository.read_key(depot.path / _KEY)


def check_repository(depot: Depot, stored: StoredRelease, key: pysequoia.Tsk) -> None:
    """Whether a release's apt repository still is what its import signed.

    + key: the site's

    Raises SealiftError where it is not.
    """
    if not repository.is_right(signed_repository(depot, stored), stored.lock, key):
        folder = depot.bundle(stored.digest) / "repository"
        raise SealiftError(f"{folder}: was altered. Import the bundle again.")


def signed_repository(depot: Depot, stored: StoredRelease) -> SignedRepository:
    """A release's apt repository as its import signed it.

    A deployment must not open the site's key: the OpenPGP library crashes in pyinfra's greenlets.

    Raises SealiftError where the depot was damaged.
    """
    folder = depot.bundle(stored.digest) / "repository"
    try:
        return SignedRepository(*((folder / name).read_bytes() for name in _REPOSITORY_FILES))
    except FileNotFoundError as error:
        raise SealiftError(f"{error.filename}: not found. Import the bundle again.") from None
