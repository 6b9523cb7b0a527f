"""Vendors' apt repositories by URL, real and signed, on loopback: what is locked, fetched and refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pysequoia
import pytest
import yaml

from sealift.blobs import BlobStore
from sealift.errors import SealiftError
from sealift.release.locked import Lock, LockedPackage
from sealift.release.types import Release
from sealift.sources import debs
from sealift.sources.apt import lock_packages
from sealift.sources.apt_sources import key_digests, read_keys
from sealift.sources.source import BuildMachine
from tests.lab.commands import CHECKOUT, Commands
from tests.peers import apt_repository as apt
from tests.peers.relay import relaying
from tests.unit import samples

NVIDIA = "nvidia-container-toolkit-base"
DOCKER_URL, NVIDIA_URL = "https://download.docker.com/linux/debian", "https://nvidia.github.io/stable/deb"
# the sources by their real addresses, and where a test finds them
Sources = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Vendors:
    """Both repositories in one folder, and the keys that vouch for them.

    + www: what is served
    + sources: with the keys
    """

    www: Path
    sources: Path
    debs: list[Path]
    key: pysequoia.Tsk

    @property
    def toolkit(self) -> Path:
        """NVIDIA's package."""
        (found,) = (self.www / "nvidia").glob("*.deb")
        return found

    @property
    def dist(self) -> Path:
        return self.www / "docker/dists" / apt.SUITE


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Vendors:
    """Two packages that Debian 13 lacks, and what they need, in Docker's shape; the toolkit in NVIDIA's."""
    ingredients = CHECKOUT / "build/ingredients"
    Commands(CHECKOUT / ".lab").ok("python", "-m", "demo.ingredients", ingredients)
    root = tmp_path_factory.mktemp("vendors")
    key = apt.new_key()
    found = apt.debian_debs(
        root / "debs", "bookworm", "libbaseencode1", "libbaseencode-dev", "libc6", "libgcc-s1", "gcc-12-base"
    )
    apt.docker_shaped(root / "www/docker", found, key)
    apt.nvidia_shaped(root / "www/nvidia", (ingredients / "nvidia-apt").glob("*.deb"), key)
    (root / "sources").mkdir()
    apt.write_key(root / "sources/vendor.asc", key)
    return Vendors(root / "www", root / "sources", found, key)


@pytest.fixture
def vendors(originals: Vendors, tmp_path: Path) -> Vendors:
    """A copy to spoil."""
    shutil.copytree(originals.www, tmp_path / "www")
    shutil.copytree(originals.sources, tmp_path / "sources")
    return Vendors(tmp_path / "www", tmp_path / "sources", originals.debs, originals.key)


def _sources(docker: str, nvidia: str) -> Sources:
    return {
        "docker": {"url": docker, "key": "vendor.asc", "suites": ["trixie"], "components": ["stable"]},
        "nvidia": {"url": nvidia, "key": "vendor.asc", "suites": ["/"]},
    }


def _at(port: int) -> Sources:
    return _sources(f"http://127.0.0.1:{port}/docker", f"http://127.0.0.1:{port}/nvidia/")


def _mirrors(port: int) -> dict[str, str]:
    at = f"http://127.0.0.1:{port}"
    return {"SEALIFT_MIRRORS": f"apt:docker={at}/docker docker.io=https://hub apt:nvidia={at}/nvidia/"}


def _release(sources: Sources) -> Release:
    wanted = {"base": ["libc6"], "all": ["libbaseencode-dev"], "gpu": [NVIDIA]}
    return samples.release(packages={"sources": sources, **wanted})


def _lock(release: Release, machine: BuildMachine) -> Lock:
    keys = read_keys(release, machine.sources)
    packages = lock_packages(release, machine, keys)
    return Lock(release=release, keys=key_digests(keys), packages=packages, images={}, models={})


def _refusal(sources: Sources, folder: Path, **environment: str) -> str:
    with pytest.raises(SealiftError) as refusal:
        _lock(_release(sources), samples.machine(folder, environment))
    return str(refusal.value)


def test_a_lock_is_the_same_over_any_mirror_and_fetches_from_each(vendors: Vendors, tmp_path: Path) -> None:
    release = _release(_sources(DOCKER_URL, NVIDIA_URL))
    locks = []
    for _ in range(2):
        with apt.serving(vendors.www) as port:
            machine = samples.machine(vendors.sources, _mirrors(port))
            locks.append(_lock(release, machine))
            store = BlobStore(tmp_path / f"cache-{port}")
            debs.fetch(locks[0], machine, store)
            assert all(store.has(package.blob) for package in locks[0].packages)
            assert list((store.folder.parents[1] / "debs").iterdir()) == []
    first, second = locks
    assert first == second
    assert "127.0.0.1" not in first.model_dump_json()
    found = {package.name: (package.source, package.path, package.groups) for package in first.packages}
    assert found == {
        "libbaseencode-dev": ("docker", f"{apt.POOL}/libbaseencode-dev_1.0.15-1_amd64.deb", ("all",)),
        "libbaseencode1": ("docker", f"{apt.POOL}/libbaseencode1_1.0.15-1_amd64.deb", ("all",)),
        NVIDIA: ("nvidia", vendors.toolkit.name, ("gpu",)),
    }


def test_a_vendor_is_asked_at_its_own_url_where_no_mirror_is_set(vendors: Vendors, tmp_path: Path) -> None:
    with apt.serving(vendors.www) as port:
        machine = samples.machine(vendors.sources, {"SEALIFT_MIRRORS": "apt:other=http://127.0.0.1:1/"})
        lock = _lock(_release({"debian": {}, **_at(port)}), machine)
        debs.fetch(lock, machine, BlobStore(tmp_path))
    assert [package.source for package in lock.packages] == ["docker", "docker", "nvidia"]


def test_a_changed_key_makes_a_lock_stale(vendors: Vendors, tmp_path: Path) -> None:
    site = samples.site(tmp_path / "site")
    for path in vendors.sources.iterdir():
        shutil.copy(path, site.sources)
    release, commands = site.sources / "demo.yaml", Commands(tmp_path / "no lab")
    lock = ("sealift", "lock", release, "--sources", site.sources)
    with apt.serving(vendors.www) as port:
        release.write_text(yaml.safe_dump(_release(_at(port)).model_dump(mode="json", exclude_defaults=True)))
        commands.ok(*lock)
        commands.ok(*lock, "--check")

        other = apt.new_key()
        apt.write_key(site.sources / "vendor.asc", other)
        assert "NO_PUBKEY" in commands.refused(*lock, "--check").said

        apt.sign(vendors.dist, other, None, Suite=apt.SUITE, Components=apt.COMPONENT)
        apt.sign(vendors.www / "nvidia", other, None)
        said = commands.refused(*lock, "--check").said
        assert "key of packages.sources.docker" in said
        assert f"{release.with_suffix('.lock')}: is not what {release} and its sources give now" in said

        commands.ok(*lock)
        built = commands.ok(
            *("sealift", "build", release.with_suffix(".lock"), "--sources", site.sources),
            *("--key", site.key, "--out", tmp_path / "bundle"),
        )
    assert "sha256:" in built.out


def _unsigned(vendors: Vendors) -> None:
    (vendors.dist / "InRelease").unlink()


def _no_signature_within(vendors: Vendors) -> None:
    shutil.copy(vendors.dist / "Release", vendors.dist / "InRelease")


def _foreign(vendors: Vendors) -> None:
    apt.sign(vendors.dist, apt.new_key(), None, Suite=apt.SUITE, Components=apt.COMPONENT)


def _altered(vendors: Vendors) -> None:
    packages = vendors.www / "docker" / apt.INDEXES / "Packages"
    packages.write_text(packages.read_text().replace("1.0.15-1", "1.0.15-2"))


def _altered_release(vendors: Vendors) -> None:
    release = vendors.dist / "InRelease"
    release.write_text(release.read_text().replace("Origin: Vendor", "Origin: Wendor"))


def _expired(vendors: Vendors) -> None:
    apt.docker_shaped(vendors.www / "docker", vendors.debs, vendors.key, timedelta(days=-1))


def _other_suite(vendors: Vendors) -> None:
    vendors.dist.rename(vendors.dist.with_name("forky"))


def _other_component(vendors: Vendors) -> None:
    (vendors.dist / apt.COMPONENT).rename(vendors.dist / "test")
    apt.sign(vendors.dist, vendors.key, None, Suite=apt.SUITE, Components="test")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_unsigned, "trixie Release' is not signed"),
        (_no_signature_within, "trixie InRelease' is not signed"),
        (_foreign, "the public key is not available: NO_PUBKEY"),
        (_altered_release, "The following signatures were invalid: BADSIG"),
        (_altered, "Hash Sum mismatch"),
        (_expired, "trixie/InRelease is expired (invalid since"),
        (_other_suite, "trixie Release' does not have a Release file"),
        (_other_component, "trixie has no packages in stable, expected an index of them"),
    ],
)
def test_a_repository_that_cannot_be_believed_is_refused_by_name(
    vendors: Vendors, spoil: Callable[[Vendors], None], words: str
) -> None:
    spoil(vendors)
    with apt.serving(vendors.www) as port:
        said = _refusal(_at(port), vendors.sources)
    lines = [line for line in said.splitlines() if words in line]
    assert lines, said
    assert all(line.startswith("packages.sources.docker: ") for line in lines)
    assert "packages.sources.nvidia" not in said


def test_an_expired_mirror_is_taken_where_this_machines_apt_takes_it(
    vendors: Vendors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _expired(vendors)
    _configure_apt(tmp_path, 'Acquire::Check-Valid-Until "false";', monkeypatch)
    with apt.serving(vendors.www) as port:
        assert "is expired" in _refusal(_at(port), vendors.sources)
        assert _lock(_release(_at(port)), samples.machine(vendors.sources, _mirrors(port))).packages


def _configure_apt(folder: Path, config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "apt.conf").write_text(config)
    monkeypatch.setenv("APT_CONFIG", str(folder / "apt.conf"))


def test_a_server_that_is_gone_is_named_by_its_source(vendors: Vendors) -> None:
    with apt.serving(vendors.www) as port:
        pass
    said = _refusal(_at(port), vendors.sources)
    assert "packages.sources.docker: apt-get: Failed to fetch" in said
    assert "this machine's mirrors and proxy" in said


def test_a_login_is_that_of_the_machines_apt(
    vendors: Vendors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with apt.serving(vendors.www, "/:reader:hunter2") as port:
        assert "401  Unauthorized" in _refusal(_at(port), vendors.sources)
        login = tmp_path / "auth.conf"
        login.write_text(f"machine http://127.0.0.1:{port} login reader password hunter2\n")
        _configure_apt(tmp_path, f'Dir::Etc::netrc "{login}";', monkeypatch)
        machine = samples.machine(vendors.sources)
        lock = _lock(_release(_at(port)), machine)
        debs.fetch(lock, machine, BlobStore(tmp_path / "cache"))
    assert "hunter2" not in lock.model_dump_json()


@pytest.fixture
def toolkit(vendors: Vendors) -> Callable[[int], Lock]:
    """A lock of NVIDIA's package alone, wherever it is served."""

    def lock(port: int) -> Lock:
        path = vendors.toolkit
        package: LockedPackage = samples.package(
            NVIDIA, path.read_bytes(), source="nvidia", path=path.name, version="1.20.0-1"
        )
        return Lock(release=_release(_at(port)), packages=(package,), images={}, models={})

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
