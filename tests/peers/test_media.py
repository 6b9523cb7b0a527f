"""Media of the real demo release, by the commands; and ssh-keygen asked about every byte of a table."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sealift.bundle import signature
from tests.lab.commands import Commands
from tests.peers.conftest import Demo
from tests.unit import media_bundle
from tests.unit.media_bundle import content, damaged_in_every_way, passes

SIZE = 64 << 20
MEMORY = 200_000_000  # bytes


def _hashes(folder: Path) -> dict[str, str]:
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                found[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _write(demo: Demo, folder: Path, *more: str) -> tuple[str | Path, ...]:
    return ("sealift", "media", "write", demo.bundle, folder, "--size", "64M", "--key", demo.key, *more)


def _read(demo: Demo, out: Path, *folders: Path) -> tuple[str | Path, ...]:
    return ("sealift", "media", "read", *folders, "--out", out, "--allowed-signers", demo.allowed)


def test_the_demo_release_crosses_on_sticks_one_of_them_bad_with_a_kill_on_each_side(
    commands: Commands, demo: Demo, tmp_path: Path
) -> None:
    media, out = tmp_path / "media", tmp_path / "out"
    commands.kill_after(1.0, *_write(demo, media))
    written = commands.ok(*_write(demo, media, "--json"))
    assert written.peak_memory < MEMORY
    names = sorted(json.loads(written.out)["parts"])
    assert len(names) > 5
    assert all((media / name).stat().st_size <= SIZE for name in names)

    stick = tmp_path / "stick"
    stick.mkdir()
    for name in ("TABLE.txt", "TABLE.txt.sig", "RESCUE.txt", "START.py"):
        shutil.copy(media / name, stick)
    for name in names[3:]:
        (media / name).rename(stick / name)
    with (media / names[1]).open("r+b") as file:
        file.seek(SIZE // 2)
        file.write(b"bad")
    refused = commands.refused(*_read(demo, out, media))
    assert f"{media}: part 0002.part is damaged" in refused.said
    assert f"--size {SIZE} --part 2" in refused.said
    assert f"has 2 of {len(names)} parts, missing: 0002, 0004" in refused.said

    commands.ok(*_write(demo, media, "--part", "2"))
    assert sorted(path.name for path in media.glob("*.part")) == names[:3]
    commands.kill_after(0.8, *_read(demo, out, stick, media))
    read = commands.ok(*_read(demo, out, stick, media))
    assert read.peak_memory < MEMORY
    assert _hashes(out) == _hashes(demo.bundle)

    rescue = ["/bin/sh", "-eu", str(stick / "RESCUE.txt"), str(tmp_path / "rescued"), str(media), str(stick)]
    subprocess.run(rescue, check=True, capture_output=True)
    assert _hashes(tmp_path / "rescued") == _hashes(demo.bundle)
    for folder in (media, stick, out, tmp_path / "rescued"):
        shutil.rmtree(folder)


@contextmanager
def _small_disk(where: Path, size: str) -> Iterator[Path]:
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", where], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", where], check=True)


def test_a_small_stick_takes_what_fits_and_is_told_what_does(
    commands: Commands, demo: Demo, tmp_path: Path
) -> None:
    with _small_disk(tmp_path / "stick", "140m") as stick:
        refused = commands.refused(*_write(demo, stick))
        assert "Write --part 1-2 here, and the others to other media" in refused.said
        assert os.listdir(stick) == []  # noqa: PTH208 - names
        commands.ok(*_write(demo, stick, "--part", "1-2"))
        again = commands.ok(*_write(demo, stick, "--part", "1-2", "--json"))
        assert json.loads(again.out)["kept"] == ["0001.part", "0002.part"]
        with _small_disk(tmp_path / "disk", "100m") as disk:
            refused = commands.refused(*_read(demo, disk / "out", stick))
            assert "Make room or name another folder" in refused.said


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["TABLE.txt", "TABLE.txt.sig"])
def test_every_single_damage_to_table_and_signature_is_found(tmp_path: Path, name: str) -> None:
    tiny, media = media_bundle.site(tmp_path, b"tiny"), tmp_path / "media"
    tiny.write(media, 1 << 20)
    whole = content(media)[name]
    passed = [damaged for damaged in damaged_in_every_way(whole) if passes(tiny, media / name, damaged)]
    # White space in a signature's armour means nothing: what it proves is the same.
    assert {b"".join(damaged.split()) for damaged in passed} <= {b"".join(whole.split())}
    assert name == "TABLE.txt.sig" or not passed


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["RESCUE.txt", "START.py"])
def test_every_single_damage_to_what_is_run_from_media_is_found(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # ssh-keygen's answer to one question is remembered: the table stays as it was
    monkeypatch.setattr(signature, "verify", functools.cache(signature.verify))
    tiny, media = media_bundle.site(tmp_path, b"tiny"), tmp_path / "media"
    tiny.write(media, 1 << 20)
    whole = content(media)[name]
    assert passes(tiny, media / name, whole)
    assert not any(passes(tiny, media / name, damaged) for damaged in damaged_in_every_way(whole))
