"""Vendors' apt repositories by URL, real and signed, on loopback: what is locked, fetched and refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from sealift.blobs import BlobStore
from sealift.errors import SealiftError
from sealift.sources import debs
from tests.lab.commands import Commands
from tests.peers import apt_repository as apt
from tests.peers.vendors import (
    DOCKER_URL,
    NVIDIA,
    NVIDIA_URL,
    Sources,
    Vendors,
    copy_of,
    lock_of,
    make,
    mirrors_at,
    release_of,
    served_at,
    sources_at,
)
from tests.unit import samples


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Vendors:
    return make(tmp_path_factory.mktemp("vendors"))


@pytest.fixture
def vendors(originals: Vendors, tmp_path: Path) -> Vendors:
    return copy_of(originals, tmp_path)


def _refusal(sources: Sources, folder: Path, **environment: str) -> str:
    with pytest.raises(SealiftError) as refusal:
        lock_of(release_of(sources), samples.machine(folder, environment))
    return str(refusal.value)


def test_a_lock_is_the_same_over_any_mirror_and_fetches_from_each(vendors: Vendors, tmp_path: Path) -> None:
    release = release_of(sources_at(DOCKER_URL, NVIDIA_URL))
    locks = []
    for _ in range(2):
        with apt.serving(vendors.www) as port:
            machine = samples.machine(vendors.sources, mirrors_at(port))
            locks.append(lock_of(release, machine))
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
        lock = lock_of(release_of({"debian": {}, **served_at(port)}), machine)
        debs.fetch(lock, machine, BlobStore(tmp_path))
    assert [package.source for package in lock.packages] == ["docker", "docker", "nvidia"]


def test_a_changed_key_makes_a_lock_stale(vendors: Vendors, tmp_path: Path) -> None:
    site = samples.site(tmp_path / "site")
    for path in vendors.sources.iterdir():
        shutil.copy(path, site.sources)
    release, commands = site.sources / "demo.yaml", Commands(tmp_path / "no lab")
    lock = ("sealift", "lock", release, "--sources", site.sources)
    with apt.serving(vendors.www) as port:
        release.write_text(
            yaml.safe_dump(release_of(served_at(port)).model_dump(mode="json", exclude_defaults=True))
        )
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
        said = _refusal(served_at(port), vendors.sources)
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
        assert "is expired" in _refusal(served_at(port), vendors.sources)
        assert lock_of(
            release_of(served_at(port)), samples.machine(vendors.sources, mirrors_at(port))
        ).packages


def _configure_apt(folder: Path, config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "apt.conf").write_text(config)
    monkeypatch.setenv("APT_CONFIG", str(folder / "apt.conf"))


def test_a_server_that_is_gone_is_named_by_its_source(vendors: Vendors) -> None:
    with apt.serving(vendors.www) as port:
        pass
    said = _refusal(served_at(port), vendors.sources)
    assert "packages.sources.docker: apt-get: Failed to fetch" in said
    assert "this machine's mirrors and proxy" in said


def test_a_login_is_that_of_the_machines_apt(
    vendors: Vendors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with apt.serving(vendors.www, "/:reader:hunter2") as port:
        assert "401  Unauthorized" in _refusal(served_at(port), vendors.sources)
        login = tmp_path / "auth.conf"
        login.write_text(f"machine http://127.0.0.1:{port} login reader password hunter2\n")
        _configure_apt(tmp_path, f'Dir::Etc::netrc "{login}";', monkeypatch)
        machine = samples.machine(vendors.sources)
        lock = lock_of(release_of(served_at(port)), machine)
        debs.fetch(lock, machine, BlobStore(tmp_path / "cache"))
    assert "hunter2" not in lock.model_dump_json()
