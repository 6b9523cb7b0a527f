"""How content gets into a store of blobs: copied, shared or under a second name, and hashed whichever way."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.content import CHUNK, Content, digest_of
from sealift.errors import SealiftError
from sealift.integrity import drop_damaged
from sealift.progress import silent
from sealift.release.locked_model import WEIGHTS, ModelLayer

CONTENT = os.urandom(2 * CHUNK + 17)
BLOB = digest_of(CONTENT)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A blob as a store of ours leaves it."""
    store = BlobStore(tmp_path / "bundle")
    return store.path(store.put_bytes(CONTENT))


def _taken(source: Path, blob: Blob = BLOB) -> Path:
    store = BlobStore(source.parents[3] / "depot")
    counted: list[int] = []
    store.take(blob, source, "packages: hello", counted.append)
    assert sum(counted) == blob.size
    assert list(store.partial.iterdir()) == []
    return store.path(blob)


def test_a_read_only_file_of_ours_gets_a_second_name(source: Path) -> None:
    assert _taken(source).samefile(source)


@pytest.mark.parametrize("mode", [0o644, 0o464, 0o446])
def test_a_file_that_somebody_may_write_to_is_copied(source: Path, mode: int) -> None:
    source.chmod(mode)
    taken = _taken(source)
    assert not taken.samefile(source)
    assert taken.read_bytes() == CONTENT
    assert taken.stat().st_mode & 0o777 == 0o444


def test_a_file_of_somebody_else_is_copied(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: source.stat().st_uid + 1)
    assert not _taken(source).samefile(source)


@pytest.mark.parametrize("mode", [0o444, 0o644])
def test_a_damaged_file_is_not_taken(source: Path, mode: int) -> None:
    source.chmod(0o644)
    source.write_bytes(bytes([CONTENT[0] ^ 1]) + CONTENT[1:])
    source.chmod(mode)
    store = BlobStore(source.parents[3] / "depot")
    with pytest.raises(SealiftError, match=f"^packages: hello: {BLOB.digest} is damaged, its content is"):
        store.take(BLOB, source, "packages: hello", lambda _: None)
    assert not store.has(BLOB)
    assert list(store.partial.iterdir()) == []


def test_a_link_is_not_followed(source: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle/blobs/sha256/link").symlink_to(source)
    with pytest.raises(SealiftError, match="is a link or a device"):
        _taken(tmp_path / "bundle/blobs/sha256/link")


@pytest.mark.parametrize("way", ["put", "take"])
def test_threads_that_bring_the_same_blob_in_do_not_disturb_each_other(source: Path, way: str) -> None:
    store = BlobStore(source.parents[3] / "depot")
    begun = Barrier(4)

    def bring(_: int) -> None:
        chunks: list[int] = []

        def note(chunk: int) -> None:
            if not chunks:
                begun.wait(10)  # each has written a part before one is through
            chunks.append(chunk)

        if way == "put":
            store.put(BLOB, Content.of_file(source), "packages: hello", note)
        else:
            store.take(BLOB, source, "packages: hello", note)
        assert store.path(BLOB).read_bytes() == CONTENT

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(bring, range(4)))
    assert list(store.partial.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1])
def test_a_copy_of_any_size_is_whole(tmp_path: Path, size: int) -> None:
    (tmp_path / "tarball").write_bytes(b"header" + CONTENT[:size] + b"behind")
    store, blob = BlobStore(tmp_path / "store"), digest_of(CONTENT[:size])
    store.put(blob, Content(tmp_path / "tarball", 6, size), "model", lambda _: None)
    assert store.path(blob).read_bytes() == CONTENT[:size]


def test_small_content_that_rotted_is_written_again(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    path = store.path(store.put_bytes(b"manifest"))
    path.chmod(0o644)
    path.write_bytes(b"Manifest")
    store.put_bytes(b"manifest")
    assert path.read_bytes() == b"manifest"


def test_only_what_rotted_is_dropped(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    whole, rotten, missing = store.put_bytes(b"whole"), store.put_bytes(b"rotten"), digest_of(b"missing")
    store.path(rotten).chmod(0o644)
    store.path(rotten).write_bytes(b"Rotten")
    drop_damaged(store, (whole, rotten, missing), silent)
    assert [path.name for path in store.folder.iterdir()] == [whole.hex]


def test_only_what_was_left_long_ago_is_swept(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BlobStore(source.parents[3] / "cache")
    store.sweep_old()
    store.partial.mkdir(parents=True)
    os.utime(source, (0, 0))
    (store.partial / "being-taken").hardlink_to(source)
    (store.partial / "being-written").write_bytes(b"half")
    store.sweep_old()
    assert len(list(store.partial.iterdir())) == 2
    later = time.time() + 2 * 24 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    store.sweep_old()
    assert list(store.partial.iterdir()) == []
    assert source.read_bytes() == CONTENT


def test_a_whole_layer_of_a_model_is_not_dropped(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    weights = store.put_bytes(b"weights")
    layer = ModelLayer(digest=weights.digest, size=weights.size, media_type=WEIGHTS)
    drop_damaged(store, [layer], silent)
    assert store.has(weights)
