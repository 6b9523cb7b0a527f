"""A release's packages as a signed flat apt repository: its index, and the site's signature on it.

Source of the formats: https://wiki.debian.org/DebianRepository/Format. The .debs themselves stay blobs; a
host links them under `pool/` by the names that the index gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pysequoia

from sealift.errors import SealiftError
from sealift.files import read_limited, write_atomically
from sealift.release.locked import Lock, LockedPackage

# Fields of the index that are ours to say: where the file lies here, and what it must be.
_OURS = ("Package", "Version", "Architecture", "Filename", "Size", "SHA256")
_KEY_LIMIT = 1 << 20  # bytes


@dataclass(frozen=True)
class SignedRepository:
    """The three small files of a repository, beside `pool/`."""

    key: bytes  # ASCII armored certificate, for signed-by=
    inrelease: bytes
    packages: bytes


def pool_path(package: LockedPackage) -> str:
    """Where a package lies in the repository; apt writes a version's colon as %3a in file names."""
    version = package.version.replace(":", "%3a")
    return f"pool/{package.name}_{version}_{package.architecture}.deb"


def packages_index(lock: Lock) -> bytes:
    """The `Packages` file over what any host gets of a release, in the lock's order."""
    packages = lock.host_packages
    return "".join(f"{stanza}\n" for stanza in map(_stanza, packages)).encode()


def release_file(packages: bytes, origin: str, date: datetime) -> bytes:
    """The `Release` file that vouches for a `Packages` file.

    + origin: whose release it is
    + date: must not lie ahead of a host's clock
    """
    stamp = date.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
    head = (
        f"Origin: sealift\nLabel: {origin}\nSuite: sealift\nCodename: sealift\nDate: {stamp}\n"
        "Architectures: amd64\nSHA256:\n"
    )
    return head.encode() + _vouch(packages)


def _vouch(packages: bytes) -> bytes:
    return f" {hashlib.sha256(packages).hexdigest()} {len(packages)} Packages\n".encode()


def site_key(path: Path) -> pysequoia.Tsk:
    """The site's own OpenPGP key, made at first use.

    It does not expire: closed sites run for years, and a key that lapses would stop every `apt-get`. It never
    leaves the depot, and is replaced by removing the file and importing the bundles again.

    + path: a file only its owner can read

    Raises SealiftError where the file is there and damaged.
    """
    if path.exists():
        return read_key(path)
    # version 4 keys: gpgv of Debian 12 knows no newer ones
    key = pysequoia.Tsk.generate("sealift depot <depot@sealift.invalid>", profile=pysequoia.Profile.RFC4880)
    write_atomically(path, bytes(key), mode=0o600)
    return key


def read_key(path: Path) -> pysequoia.Tsk:
    """The key in a file. It signs something for a trial: a damaged one may load, and sign what apt refuses.

    Raises SealiftError where it is missing or damaged.
    """
    remedy = (
        "Put it back from a backup. Without one, remove what is there and import the bundle of every release "
        "again, which makes a new one and signs with it: the next apply has the hosts trust it."
    )
    try:
        content = read_limited(path, _KEY_LIMIT)
    except SealiftError as error:
        raise SealiftError(f"{error} {remedy}") from None
    try:
        key = pysequoia.Tsk.from_bytes(content)
        trial = clearsign(b"a trial\n", key)
        hosts_have = pysequoia.Cert.from_bytes(certificate(key))
        pysequoia.verify(trial, store=lambda _: [hosts_have])
    except RuntimeError:  # whatever is wrong with it, told at length
        raise SealiftError(f"{path}: is damaged, expected the site's OpenPGP key. {remedy}") from None
    return key


def sign(lock: Lock, key: pysequoia.Tsk, date: datetime) -> SignedRepository:
    """Make a release's repository.

    + key: the site's, from `site_key`
    + date: of the Release file
    """
    packages = packages_index(lock)
    release = release_file(packages, f"{lock.release.name} {lock.release.version}", date)
    return SignedRepository(
        key=certificate(key),
        inrelease=clearsign(release, key),
        packages=packages,
    )


def is_right(made: SignedRepository, lock: Lock, key: pysequoia.Tsk) -> bool:
    """Whether a repository is the one of this lock, signed by this key."""
    if made.key != certificate(key) or made.packages != packages_index(lock):
        return False
    try:
        signed = pysequoia.verify(made.inrelease, store=lambda _: [key.extract_certificate()]).bytes
    except RuntimeError:  # whatever is wrong with it
        return False
    return signed is not None and _vouch(made.packages) in signed


def certificate(key: pysequoia.Tsk) -> bytes:
    """The public half, ASCII armored."""
    return str(key.extract_certificate()).encode()


def clearsign(release: bytes, key: pysequoia.Tsk) -> bytes:
    """`InRelease`: a Release file with its signature around it."""
    return pysequoia.sign(key.signer(), release, mode=pysequoia.SignatureMode.CLEAR)


def _stanza(package: LockedPackage) -> str:
    return "".join(f"{field}: {value}\n" for field, value in _fields(package))


def _fields(package: LockedPackage) -> Iterator[tuple[str, str]]:
    yield "Package", package.name
    yield "Version", package.version
    yield "Architecture", package.architecture
    yield from ((key, package.fields[key]) for key in sorted(package.fields) if key not in _OURS)
    yield "Filename", pool_path(package)
    yield "Size", str(package.blob.size)
    yield "SHA256", package.blob.hex
