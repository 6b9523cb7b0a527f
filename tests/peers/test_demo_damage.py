"""The demo release damaged here and there: of a tiny bundle every byte is tried, in test_every_byte.py."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from sealift.blobs import BlobStore
from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.media.read import read_media
from sealift.media.write import write_media
from sealift.oci.layout import INDEX, SIGNATURE, read_index, read_layout
from sealift.progress import silent
from tests.peers.conftest import Demo
from tests.unit.test_bundle_damage import means_the_same

SEED = 20261125
_RELEASE = "releases/demo/2026.11.0"
_BIG = 3  # blobs that are always among the damaged ones
_PART = 64 << 20  # bytes


@pytest.fixture
def chance() -> Random:
    """The same damage each time. What a failing test did is among its captured output."""
    print(f"seed {SEED}")
    return Random(SEED)  # noqa: S311 - the same bytes each time


@pytest.fixture
def bundle(demo: Demo, tmp_path: Path) -> Iterator[Path]:
    """The bundle, of hard links: a file is only ever replaced in it."""
    shutil.copytree(demo.bundle, tmp_path / "bundle", copy_function=os.link)
    yield tmp_path / "bundle"
    shutil.rmtree(tmp_path / "bundle")


@pytest.fixture
def depot(demo: Demo, bundle: Path, tmp_path: Path) -> Depot:
    """A depot that has every blob, and no release."""
    depot = Depot(tmp_path / "depot")
    import_bundle(depot, bundle, demo.allowed, silent)
    _forget(depot)
    return depot


def _forget(depot: Depot) -> None:
    (depot.path / _RELEASE).unlink()
    shutil.rmtree(depot.path / "bundles")


@contextmanager
def _away(path: Path) -> Iterator[Path]:
    """Where a file is while damaged ones take its place; it is put back."""
    kept = path.rename(path.parent.parent / "kept")
    try:
        yield kept
    finally:
        path.unlink(missing_ok=True)
        kept.rename(path)


def _damaged(kept: Path, path: Path, chance: Random, times: int) -> Iterator[str]:
    """Copies of a file with one bit changed, or cut off; says each."""
    size = kept.stat().st_size
    for number in range(2 * times):
        shutil.copy(kept, path)
        position, bit = chance.randrange(size), chance.randrange(8)
        with path.open("r+b") as file:
            if number % 2:
                file.truncate(position)
                said = f"{path}: cut off at {position}"
            else:
                file.seek(position)
                (byte,) = file.read(1)
                file.seek(position)
                file.write(bytes([byte ^ 1 << bit]))
                said = f"{path}: bit {bit} of byte {position}"
        print(said)
        yield said


def test_damage_to_index_and_signature_is_refused(
    demo: Demo, bundle: Path, depot: Depot, chance: Random
) -> None:
    for name in (INDEX, SIGNATURE):
        with _away(bundle / name) as kept:
            tried = 0
            for damage in _damaged(kept, bundle / name, chance, 40):
                if means_the_same(name, (bundle / name).read_bytes(), kept.read_bytes()):
                    continue
                with pytest.raises(SealiftError, match=name):
                    import_bundle(depot, bundle, demo.allowed, silent)
                assert depot.releases() == {}, damage
                tried += 1
            assert tried > 70


@pytest.mark.exhaustive
def test_damage_to_manifests_lock_and_blobs_is_refused(
    demo: Demo, bundle: Path, depot: Depot, chance: Random
) -> None:
    tables = read_layout(read_index(bundle), BlobStore(bundle)).tables()
    small = [bundle / "blobs/sha256" / digest.removeprefix("sha256:") for digest in sorted(tables)]
    blobs = sorted((bundle / "blobs/sha256").iterdir(), key=lambda path: (path.stat().st_size, path.name))
    blobs = [path for path in blobs if path not in small]
    assert (
        len(small) == len(demo.lock.images) + len(demo.lock.models) + 7
    )  # lock, packages, files, roles, ...
    for path in (*small, *blobs[-_BIG:], *chance.sample(blobs[:-_BIG], 20)):
        (depot.store.folder / path.name).unlink()
        with _away(path) as kept:
            for damage in _damaged(kept, path, chance, 5 if path in small else 1):
                with pytest.raises(SealiftError) as refused:
                    import_bundle(depot, bundle, demo.allowed, silent)
                assert depot.releases() == {}, damage
                assert not (depot.store.folder / path.name).exists(), damage
                assert path.name in str(refused.value), damage
        import_bundle(depot, bundle, demo.allowed, silent)
        _forget(depot)


def test_damage_to_a_part_of_its_media_is_found(demo: Demo, tmp_path: Path, chance: Random) -> None:
    media, stick, out = tmp_path / "media", tmp_path / "stick", tmp_path / "out"
    parts = [
        part.name
        for part in write_media(demo.bundle, media, _PART, demo.key, frozenset(), silent).table.parts
    ]
    assert len(parts) > 8
    stick.mkdir()
    for path in media.glob("[A-Z]*"):
        shutil.copy(path, stick)
    for name in parts:
        for damage in _damaged(media / name, stick / name, chance, 1):
            read = read_media([stick], out, demo.allowed, silent)
            assert read.taken == (), damage
            assert [f"part {name} is damaged" in problem for problem in read.problems] == [True], damage
        (stick / name).unlink()
    assert set(read_media([media], out, demo.allowed, silent).taken) == set(parts)
    shutil.rmtree(media)
    shutil.rmtree(out)
