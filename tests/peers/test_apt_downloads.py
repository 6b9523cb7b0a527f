"""Packages fetched from an apt repository: altered ones, cut connections, and what an earlier run left."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.blobs import BlobStore
from sealift.errors import SealiftError
from sealift.release.locked import Lock, LockedPackage
from sealift.sources import debs
from tests.peers import apt_repository as apt
from tests.peers.relay import relaying
from tests.peers.vendors import NVIDIA, Vendors, copy_of, make, release_of, served_at
from tests.unit import samples


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Vendors:
    return make(tmp_path_factory.mktemp("vendors"))


@pytest.fixture
def vendors(originals: Vendors, tmp_path: Path) -> Vendors:
    return copy_of(originals, tmp_path)


@pytest.fixture
def toolkit(vendors: Vendors) -> Callable[[int], Lock]:
    """A lock of NVIDIA's package alone, wherever it is served."""

    def lock(port: int) -> Lock:
        path = vendors.toolkit
        package: LockedPackage = samples.package(
            NVIDIA, path.read_bytes(), source="nvidia", path=path.name, version="1.20.0-1"
        )
        return Lock(release=release_of(served_at(port)), packages=(package,), images={}, models={})

    return lock


def test_an_altered_package_is_refused(
    vendors: Vendors, toolkit: Callable[[int], Lock], tmp_path: Path
) -> None:
    with apt.serving(vendors.www) as port:
        lock = toolkit(port)
        content = bytearray(vendors.toolkit.read_bytes())
        content[len(content) // 2] ^= 1
        vendors.toolkit.write_bytes(content)
        store = BlobStore(tmp_path / "cache")
        for _ in range(2):  # nothing of it is taken for the beginning of a good one
            with pytest.raises(SealiftError, match=f"{NVIDIA}.*Hash Sum mismatch"):
                debs.fetch(lock, samples.machine(vendors.sources), store)
        assert not store.has(lock.packages[0].blob)


def test_a_connection_that_is_cut_is_taken_up_again(
    vendors: Vendors, toolkit: Callable[[int], Lock], tmp_path: Path
) -> None:
    store = BlobStore(tmp_path / "cache")
    with apt.serving(vendors.www) as target, relaying(target, cut_after=3_000_000, cuts=2) as relay:
        lock = toolkit(relay.port)
        debs.fetch(lock, samples.machine(vendors.sources), store)
    size = lock.packages[0].blob.size
    assert relay.cuts <= 0
    assert size < relay.passed < 1.01 * size


def test_a_server_that_went_away_is_gone_on_with_by_the_next_run(
    vendors: Vendors, toolkit: Callable[[int], Lock], tmp_path: Path
) -> None:
    store, machine = BlobStore(tmp_path / "cache"), samples.machine(vendors.sources)
    with apt.serving(vendors.www) as target:
        with relaying(target, cut_after=1_000_000, cuts=99) as relay:
            with pytest.raises(SealiftError, match=r"Connection failed|Failed to fetch") as refusal:
                debs.fetch(toolkit(relay.port), machine, store)
            assert "Check the mirrors and the proxy" in str(refusal.value)
            came = relay.passed
        with relaying(target, cut_after=1, cuts=0) as relay:
            lock = toolkit(relay.port)
            debs.fetch(lock, machine, store)
    size = lock.packages[0].blob.size
    assert came > 1_000_000
    assert relay.passed < 1.01 * (size - came) + 10_000
    assert store.has(lock.packages[0].blob)


@pytest.mark.parametrize("left", ["beginning", "whole"])
def test_what_a_power_cut_spoiled_is_fetched_anew(
    vendors: Vendors, toolkit: Callable[[int], Lock], tmp_path: Path, left: str
) -> None:
    store = BlobStore(tmp_path / "cache")
    arriving = tmp_path / "cache/debs"
    arriving.mkdir(parents=True)
    (arriving / "of-another-lock").write_bytes(b"x")
    with apt.serving(vendors.www) as port:
        lock = toolkit(port)
        blob = lock.packages[0].blob
        (arriving / blob.hex).write_bytes(bytes(1_000_000 if left == "beginning" else blob.size))
        debs.fetch(lock, samples.machine(vendors.sources), store)
    assert store.has(blob)
    assert list(arriving.iterdir()) == []


def test_what_came_whole_before_a_kill_is_not_fetched_again(
    vendors: Vendors, toolkit: Callable[[int], Lock], tmp_path: Path
) -> None:
    with apt.serving(vendors.www) as port:
        pass
    lock = toolkit(port)
    (tmp_path / "debs").mkdir()
    shutil.copy(vendors.toolkit, tmp_path / "debs" / lock.packages[0].blob.hex)
    debs.fetch(lock, samples.machine(vendors.sources), BlobStore(tmp_path))
    assert BlobStore(tmp_path).has(lock.packages[0].blob)
