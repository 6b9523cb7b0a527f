"""A release for Ubuntu, locked out of a signed archive of Ubuntu's shape on loopback.

The packages are Debian's. What is shown is the shape (three suites, two components, one pool), and that
nothing of Debian's own is asked for. Nothing here was run on Ubuntu itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pysequoia
import pytest

from sealift.blobs import BlobStore
from sealift.errors import SealiftError
from sealift.release.locked import Lock
from sealift.release.types import Release
from sealift.sources import debs
from sealift.sources.apt import lock_packages
from sealift.sources.apt_sources import key_digests, read_keys
from tests.peers import apt_repository as apt
from tests.unit import samples

SUITES = ("noble", "noble-updates", "noble-security")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of an archive, and a sources folder with its key."""
    root = tmp_path_factory.mktemp("ubuntu")
    key: pysequoia.Tsk = apt.new_key()
    names = ("libbaseencode1", "libbaseencode-dev", "libc6", "libgcc-s1", "gcc-12-base")
    found = apt.debian_debs(root / "debs", "bookworm", *names)
    for suite in SUITES:
        apt.ubuntu_shaped(root / "www", suite, found, key)
    (root / "sources").mkdir()
    apt.write_key(root / "sources/ubuntu.asc", key)
    with apt.serving(root / "www") as port:
        yield port, root / "sources"


def release(port: int) -> Release:
    ubuntu = {
        "url": f"http://127.0.0.1:{port}",
        "key": "ubuntu.asc",
        "suites": list(SUITES),
        "components": ["main", "universe"],
    }
    packages = {"sources": {"ubuntu": ubuntu}, "base": ["libc6"], "all": ["libbaseencode-dev"]}
    return samples.release(suite="noble", packages=packages)


def test_a_release_for_ubuntu_is_locked_and_fetched(archive: tuple[int, Path], tmp_path: Path) -> None:
    port, sources = archive
    machine, wanted = samples.machine(sources), release(port)
    keys = read_keys(wanted, sources)
    packages = lock_packages(wanted, machine, keys)
    assert {package.name: package.source for package in packages} == {
        "libbaseencode-dev": "ubuntu",
        "libbaseencode1": "ubuntu",
    }
    assert all(package.path.startswith(("pool/main/", "pool/universe/")) for package in packages)
    lock = Lock(release=wanted, keys=key_digests(keys), packages=packages, images={}, models={})
    store = BlobStore(tmp_path)
    debs.fetch(lock, machine, store)
    assert all(store.has(package.blob) for package in packages)


def test_debians_own_mirror_is_not_taken_for_ubuntus(archive: tuple[int, Path]) -> None:
    wanted = samples.release(suite="noble", packages={"sources": {"debian": {}}, "all": ["docker.io"]})
    with pytest.raises(SealiftError, match=r"packages\.sources\.debian: has no url.*Ubuntu 24\.04"):
        lock_packages(wanted, samples.machine(archive[1]), {})
