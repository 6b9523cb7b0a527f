"""File systems that let two files share their bytes: a model out of an Ollama store is not copied there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.blobs import BlobStore
from sealift.content import Content, digest_of
from sealift.errors import SealiftError

CONTENT = os.urandom(32 << 20)
BLOB = digest_of(CONTENT)


@pytest.fixture(params=["btrfs", "xfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A small disk with such a file system."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(512 << 20)
    subprocess.run([f"mkfs.{request.param}", "-q", image], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def _used(disk: Path) -> int:
    os.sync()
    return shutil.disk_usage(disk).used


def test_a_file_is_shared_and_then_lives_alone(disk: Path) -> None:
    (disk / "model").write_bytes(CONTENT)
    before = _used(disk)
    store = BlobStore(disk / "bundle")
    store.put(BLOB, Content.of_file(disk / "model"), "model", lambda _: None)
    assert _used(disk) - before < len(CONTENT) // 8
    with (disk / "model").open("r+b") as file:
        file.write(b"changed")
    assert store.path(BLOB).read_bytes() == CONTENT
    assert store.path(BLOB).stat().st_mode & 0o777 == 0o444


def test_what_is_shared_is_hashed_too(disk: Path) -> None:
    (disk / "model").write_bytes(b"\xff" + CONTENT[1:])
    store = BlobStore(disk / "bundle")
    with pytest.raises(SealiftError, match=f"^model: {BLOB.digest} is damaged"):
        store.put(BLOB, Content.of_file(disk / "model"), "model", lambda _: None)
    assert not store.has(BLOB)


def test_a_part_of_a_file_that_cannot_be_shared_is_copied(disk: Path) -> None:
    (disk / "tarball").write_bytes(bytes(512) + CONTENT + bytes(1024))
    store = BlobStore(disk / "bundle")
    store.put(BLOB, Content(disk / "tarball", 512, len(CONTENT)), "model", lambda _: None)
    assert store.path(BLOB).read_bytes() == CONTENT
