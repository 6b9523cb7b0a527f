"""A host's large disk: where the store and Docker's data lie, and what keeps them from lying there."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.drift.checks import checks
from sealift.errors import SealiftError
from sealift.facts.host_store import Root
from sealift.facts.text import Links
from sealift.host.key_values import key_values
from sealift.host.probe import Disk, parse_probe, probe
from sealift.host.root import HostRoot, lost_link, make_root, parse_root, root_problems
from sealift.host.settings import SiteSettings
from sealift.host_paths import ROOT
from sealift.ship.plan import listing_script
from tests.unit.fleet_site import MIB, site_settings, wanted
from tests.unit.probed import GIB, HOST, problems
from tests.unit.test_daemon_json import REPOSITORY

DATA = site_settings(data_folder="/data")
RIGHT = HostRoot("link", "/data/sealift", there=True)


def told(found: HostRoot, settings: SiteSettings = DATA) -> list[tuple[str, str, str]]:
    return list(root_problems(found, settings))


def test_one_setting_moves_the_store_and_dockers_data() -> None:
    assert (DATA.root, DATA.docker.data_root) == ("/data/sealift", "/data/docker")
    plain = site_settings()
    assert (plain.root, plain.docker.data_root, plain.docker.data) == (ROOT, "", "/var/lib/docker")
    own = site_settings(data_folder="/data", docker={"data_root": "/srv/docker"})
    assert (own.root, own.docker.data) == ("/data/sealift", "/srv/docker")


@pytest.mark.parametrize("folder", ["/", "/data/", "data", "/a/../b", "/a b", "/var/lib", ROOT])
def test_a_folder_that_leads_nowhere_or_to_itself_is_refused(folder: str) -> None:
    with pytest.raises(SealiftError, match=r"^h1: data_folder: is '.*expected|should match"):
        site_settings(data_folder=folder)


@pytest.mark.parametrize("found", [HostRoot(), HostRoot("empty", there=True), RIGHT])
def test_a_host_without_a_store_or_with_the_link_is_right(found: HostRoot) -> None:
    assert told(found) == []


def test_a_data_folder_that_is_not_there_is_not_made() -> None:
    for found in (HostRoot(disk=False), HostRoot("link", "/data/sealift", disk=False)):
        ((what, expected, remedy),) = told(found)
        assert what == "has no folder /data, which data_folder names"
        assert expected == "one that is there: sealift makes none where a disk may have failed to mount"
        assert remedy == "Mount that disk. If it is to be a plain folder: mkdir /data"


def test_a_store_that_is_there_already_is_moved_by_hand() -> None:
    ((what, expected, remedy),) = told(HostRoot("full", there=True))
    assert what == "its /var/lib/sealift has something in it"
    assert expected == "a link to /data/sealift, as data_folder says"
    assert remedy == (
        "Move it by hand, and the next `sealift apply` starts all again: "
        "docker ps -q | xargs -r docker stop; systemctl stop docker.socket docker; "
        "mv -T /var/lib/sealift /data/sealift && ln -sfnT /data/sealift /var/lib/sealift"
    )
    assert told(HostRoot("full", there=True), site_settings()) == []


def test_a_store_on_a_disk_of_its_own_is_told() -> None:
    ((what, _, remedy),) = told(HostRoot("mount", there=True))
    assert what == "its /var/lib/sealift is a file system of its own" and "Leave data_folder empty" in remedy
    assert told(HostRoot("mount", there=True), site_settings()) == []


def test_a_link_that_leads_elsewhere_is_told_with_the_way_from_there() -> None:
    ((what, expected, remedy),) = told(HostRoot("link", "/srv/old\x1b", there=True))
    assert what == "its /var/lib/sealift is a link to /srv/old?"
    assert expected == "one to /data/sealift, as data_folder says"
    assert "mv -T '/srv/old?' /data/sealift && " in remedy
    assert told(HostRoot("link", "/srv/old", there=True), site_settings()) == []  # the site's own link


def test_a_link_to_a_disk_that_is_not_mounted_is_told() -> None:
    for settings in (DATA, site_settings()):
        ((what, _, remedy),) = told(replace(RIGHT, there=False), settings)
        assert what == "its /var/lib/sealift is a link to /data/sealift, which is not there"
        assert remedy == "Mount its disk. If that is a new one, to be filled anew: mkdir /data/sealift"


def test_a_lost_link_is_told_where_something_is_deployed_behind_it() -> None:
    lost = HostRoot("", there=True, deployed=True)
    assert told(lost) == []  # applied again
    assert lost_link(lost, DATA) == "/var/lib/sealift is no link to /data/sealift"
    assert lost_link(replace(lost, kind="empty"), DATA) is not None
    assert lost_link(lost, site_settings()) is None
    assert lost_link(replace(RIGHT, deployed=True), DATA) is None
    assert lost_link(HostRoot(), DATA) is None


def test_status_compares_the_link() -> None:
    (check,) = [each for each in checks(wanted(data_folder="/data"), REPOSITORY) if each.fact is Root]
    assert list(check.judge("/data/sealift")) == []
    for found in ("", "/srv"):
        assert list(check.judge(found)) == ["/var/lib/sealift is no link to /data/sealift"]
    assert [each for each in checks(wanted(), REPOSITORY) if each.fact is Root] == []


def test_room_is_reckoned_where_the_data_will_lie() -> None:
    minimum = {"disk_free_mib": 2048}
    small = replace(HOST, docker_disk=Disk(7, 100 * MIB), root_folder=RIGHT)
    (problem,) = problems(small, data_folder="/data", minimum=minimum)
    assert problem.startswith("h1: has 100 MiB of disk free for /data/docker, expected 200 for the release")
    assert problem.endswith("Make room, or lower minimum.disk_free_mib.")
    one = replace(HOST, docker_disk=HOST.store_disk, root_folder=RIGHT)
    (problem,) = problems(one, to_ship=8 * GIB, data_folder="/data", minimum=minimum)
    assert "of disk free for /data/sealift and /data/docker, expected 8392 for the release" in problem


def sh(script: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, env=more or None)


def asked(tmp_path: Path) -> HostRoot:
    """What the probe says of folders of the test's own."""
    settings = site_settings(data_folder=f"{tmp_path}/data")
    ran = sh(probe(settings).replace(ROOT, f"{tmp_path}/lib/sealift"), PATH="/usr/sbin:/usr/bin:/sbin:/bin")
    assert parse_probe("h1", ran.stdout).store_disk.free > 0
    return parse_root(key_values(ran.stdout))


def made(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return sh(make_root(f"{tmp_path}/data").replace(ROOT, f"{tmp_path}/lib/sealift"))


def test_the_link_is_made_and_never_takes_the_place_of_anything(tmp_path: Path) -> None:
    root, store = tmp_path / "lib/sealift", tmp_path / "data/sealift"
    root.parent.mkdir()
    assert asked(tmp_path) == HostRoot(disk=False)
    ran = made(tmp_path)
    assert ran.returncode == 1 and f"has no folder {tmp_path}/data, expected" in ran.stderr
    assert not root.is_symlink() and not store.parent.exists()

    store.parent.mkdir()
    assert asked(tmp_path) == HostRoot()
    for _ in range(2):
        assert made(tmp_path).returncode == 0
        assert root.readlink() == store and store.stat().st_mode & 0o777 == 0o755
        assert asked(tmp_path) == HostRoot("link", str(store), there=True)

    store.rmdir()  # the disk is away
    assert made(tmp_path).returncode == 0 and not store.exists()
    assert asked(tmp_path) == HostRoot("link", str(store))

    root.unlink()
    root.mkdir()
    assert asked(tmp_path).kind == "empty"
    (root / "blobs").mkdir()
    assert asked(tmp_path).kind == "full"
    assert made(tmp_path).returncode != 0 and not root.is_symlink()

    (root / "blobs").rmdir()
    assert made(tmp_path).returncode == 0 and root.is_symlink()

    root.unlink()
    root.symlink_to(tmp_path)
    assert made(tmp_path).returncode != 0 and root.readlink() == tmp_path


def test_what_stands_behind_a_lost_link_is_found(tmp_path: Path) -> None:
    store = tmp_path / "data/sealift"
    (store / "blobs/sha256").mkdir(parents=True)
    (store / "blobs/sha256" / ("a" * 64)).write_text("x")
    (store / "current").symlink_to("generations/0123")
    (store / "rollout.lock").write_text("0123 ann, since yesterday\n")
    found = asked(tmp_path)
    assert found.kind == "" and found.deployed and found.there
    settings = site_settings(data_folder=f"{tmp_path}/data")
    assert f"blob {'a' * 64} 1 " in sh(listing_script(settings.root)).stdout
    assert "rollout=0123 ann" in sh(probe(settings), PATH="/usr/sbin:/usr/bin:/sbin:/bin").stdout


def test_what_stands_in_a_folder_that_is_to_be_moved_is_found(tmp_path: Path) -> None:
    root = tmp_path / "lib/sealift"
    root.mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (root / "current").symlink_to("generations/0123")
    assert asked(tmp_path) == HostRoot("full", deployed=True)


def test_a_folder_that_is_reached_by_a_link_has_its_links_listed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/current").symlink_to("generations/0123")
    (tmp_path / "root").symlink_to("data")
    ran = sh(Links().command(folder=str(tmp_path / "root")))
    assert Links().process(ran.stdout.splitlines()) == {"current": "generations/0123"}
