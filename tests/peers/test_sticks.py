"""Media on sticks with the file systems that sticks have: written there, and read there read-only."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit import media_bundle
from tests.unit.media_bundle import content

FAT_EPOCH = 315532800  # 1980-01-01, which a machine without a clock writes
# FUSE's file systems stand in for the kernel's own, which not every kernel has. FAT has no such stand-in.
MAKE = {"exfat": ("mkfs.exfat",), "ntfs": ("mkntfs", "--force", "--quick")}
DRIVER = {"exfat": "exfat-fuse", "ntfs": "ntfs-3g"}


@pytest.mark.parametrize("kind", MAKE)
def test_a_stick_is_written_and_read(kind: str, tmp_path: Path) -> None:
    site, image, stick = media_bundle.site(tmp_path), tmp_path / "image", tmp_path / "stick"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run([*MAKE[kind], image], check=True, capture_output=True)
    stick.mkdir()

    def mount(options: str) -> None:
        subprocess.run(["mount", "-t", DRIVER[kind], "-o", options, image, stick], check=True)

    mount("loop")
    try:
        site.write(stick / "media")
        for path in (*(stick / "media").iterdir(), stick / "media"):
            os.utime(path, (FAT_EPOCH, FAT_EPOCH))
    finally:
        subprocess.run(["umount", stick], check=True)
    mount("loop,ro")
    try:
        part = (stick / "media/0001.part").stat()
        assert (part.st_mode & 0o777, part.st_mtime) == (0o777, FAT_EPOCH)
        assert site.read(tmp_path / "out", stick / "media").missing == ()
    finally:
        subprocess.run(["umount", stick], check=True)
    assert content(tmp_path / "out") == content(site.bundle)
    assert {path.stat().st_mode & 0o022 for path in (tmp_path / "out").rglob("*")} == {0}
