"""What turns unpacked code into a control node. The whole of it runs on one, in tests/lab."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from sealift.errors import SealiftError
from sealift.install.content import Package
from sealift.install.from_media import room_needed
from sealift.install.machine import check_machine, check_room, has_links
from sealift.install.packages import Installed, install_packages
from sealift.install.start import Item, Media
from tests.unit.control_lock import HEX, lock, never, parsed


def test_another_debian_is_refused() -> None:
    other = {**lock(), "release": {"name": "demo", "version": "1", "suite": "buzz"}}
    with pytest.raises(
        SealiftError, match=r"^this machine: is .*, expected debian buzz x86_64, for which demo:1 was"
    ):
        check_machine(parsed(other))


def _free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 100)
    check_room({tmp_path: 100})
    with pytest.raises(SealiftError, match=rf"^{tmp_path}: has 100 bytes free, expected 101\. Make room"):
        check_room({tmp_path: 101})


def test_what_goes_to_one_disk_is_reckoned_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 100)
    depot = tmp_path / "depot"
    depot.mkdir()
    told = rf"^{tmp_path} and {depot}: have 100 bytes free, expected 120\. Make room"
    with pytest.raises(SealiftError, match=told):
        check_room({tmp_path: 60, depot: 60})
    check_room({tmp_path: 60, Path("/proc"): 60})  # on disks of their own


@pytest.mark.parametrize(("shared", "bundle"), [(True, 1012), (False, 2024)])
def test_the_room_is_for_packages_wheels_and_the_whole_bundle(
    tmp_path: Path, shared: bool, bundle: int
) -> None:
    table = "".join(f"file {HEX} {size} blobs/sha256/{size}\n" for size in (5, 7, 1000))
    media = Media([], f"sealift media 1\n{table}".encode())
    control = parsed(lock())  # a package of 7 bytes, a wheel of 5
    needed = {tmp_path: 7 + 6 * 5, tmp_path / "depot": bundle}
    assert room_needed(tmp_path, media, control, shared) == needed


def test_whether_files_can_have_second_names_is_tried_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".link").touch()  # of a killed run
    assert has_links(tmp_path)
    assert list(tmp_path.iterdir()) == []

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "as FAT says it")

    monkeypatch.setattr(os, "link", refuse)
    assert not has_links(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_there_in_that_version_or_a_newer_one_stays(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    here = [Package("dpkg", "0.1", Item("dpkg.deb", HEX, 1))]
    assert install_packages(here, never, scratch) == Installed((), ())
    assert not scratch.exists()
