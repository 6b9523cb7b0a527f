"""Repairing a depot from media that `sealift media write` wrote: whole, spread, damaged and hostile ones."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.blob import Blob
from sealift.depot.fsck import Checked, fsck
from sealift.depot.importing import import_bundle
from sealift.depot.repair import BlobFolder
from sealift.depot.repair_media import folder_sources
from sealift.depot.store import Depot
from sealift.media.table import Table, parse_table
from sealift.media.write import write_media
from sealift.progress import silent
from tests.unit import depot_releases, samples
from tests.unit.depot_releases import bundle, damage
from tests.unit.killing import killed_at
from tests.unit.samples import Site

SIZE = 400_000  # the weights have more


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return depot_releases.make(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def written(made: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    write_media(bundle(made, 0), folder, SIZE, made.key, frozenset(), silent)
    return folder


@pytest.fixture
def media(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "media")


@pytest.fixture
def depot(made: Site, tmp_path: Path) -> Depot:
    """A depot of which the weights are damaged and a package is missing."""
    depot = Depot(tmp_path / "depot")
    import_bundle(depot, bundle(made, 0), made.allowed, silent)
    damage(depot, _weights(made))
    depot.store.path(made.lock.packages[0].blob).unlink()
    return depot


def _weights(made: Site) -> Blob:
    return max(made.lock.models[samples.MODEL].layers, key=lambda blob: blob.size)


def _repair(depot: Depot, *folders: Path) -> Checked:
    return fsck(depot, folder_sources(folders), silent)


def _table(media: Path) -> Table:
    return parse_table((media / "TABLE.txt").read_bytes(), media)


def _parts_of(media: Path, blob: Blob) -> list[str]:
    table = _table(media)
    with_it = zip(table.parts, table.slices(), strict=True)
    return [part.name for part, slices in with_it if any(s.file.blob.hex == blob.hex for s in slices)]


def _flip(part: Path, position: int) -> None:
    content = bytearray(part.read_bytes())
    content[position] ^= 1
    part.write_bytes(content)


def _make_pipe(part: Path) -> None:
    part.unlink()
    os.mkfifo(part)


def _split(media: Path, other: Path) -> None:
    """Every second part goes to another stick."""
    shutil.copytree(media, other)
    for number, part in enumerate(sorted(media.glob("*.part"))):
        (part if number % 2 else other / part.name).unlink()


def test_media_repair_what_is_missing_or_damaged(made: Site, depot: Depot, media: Path) -> None:
    assert len(_parts_of(media, _weights(made))) > 2
    (media / "TABLE.txt.sig").unlink()
    checked = _repair(depot, media)
    assert {finding.repaired_from for finding in checked.findings} == {str(media)}
    assert (len(checked.findings), checked.ok) == (2, True)
    assert fsck(depot, (), silent).findings == ()
    assert not depot.store.partial.exists()


def test_a_blob_that_lies_on_two_sticks_is_put_together(
    made: Site, depot: Depot, media: Path, tmp_path: Path
) -> None:
    _split(media, tmp_path / "other")
    alone = _repair(depot, media)
    (weights,) = (finding for finding in alone.findings if finding.digest == _weights(made).digest)
    assert weights.repaired_from == ""
    lost = [name for name in _parts_of(media, _weights(made)) if not (media / name).exists()]
    assert weights.tried == (
        f"{lost[0]}: is not in {media}. Name the medium that has it, too, with --repair-from.",
    )
    assert _repair(depot, media, tmp_path / "other").ok
    assert fsck(depot, (), silent).findings == ()


def test_a_stick_without_its_table_is_read_by_that_of_another(
    depot: Depot, media: Path, tmp_path: Path
) -> None:
    _split(media, tmp_path / "other")
    (tmp_path / "other/TABLE.txt").unlink()
    assert _repair(depot, tmp_path / "other", media).ok


def test_a_damaged_part_is_named_and_a_good_copy_is_found(
    made: Site, depot: Depot, media: Path, tmp_path: Path
) -> None:
    shutil.copytree(media, tmp_path / "good")
    part = media / _parts_of(media, _weights(made))[1]
    _flip(part, 5)
    (finding,) = (f for f in _repair(depot, media).findings if not f.repaired_from)
    assert finding.digest == _weights(made).digest
    assert len(finding.tried) == 1
    assert finding.tried[0].startswith(f"{part}: is damaged. Have it written again")
    assert _repair(depot, media, tmp_path / "good").ok
    assert fsck(depot, (), silent).findings == ()


def test_a_part_that_is_damaged_elsewhere_still_repairs(made: Site, depot: Depot, media: Path) -> None:
    table, name = _table(media), _parts_of(media, _weights(made))[-1]
    slices = dict(zip(table.parts, table.slices(), strict=True))
    (behind,) = (s for part, s in slices.items() if part.name == name)
    assert behind[-1].file.blob.hex != _weights(made).hex
    _flip(media / name, sum(piece.size for piece in behind) - 1)
    finding = next(f for f in _repair(depot, media).findings if f.digest == _weights(made).digest)
    assert finding.repaired_from == str(media)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda part: part.write_bytes(part.read_bytes()[:-1]), "bytes, expected 400000. Have it written"),
        (lambda part: (part.unlink(), part.symlink_to("/dev/zero")), "is a link or a device"),
        (_make_pipe, "is a link or a device"),
    ],
)
def test_what_is_no_part_is_named(
    made: Site, depot: Depot, media: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(media / _parts_of(media, _weights(made))[0])
    (finding,) = (f for f in _repair(depot, media).findings if f.digest == _weights(made).digest)
    assert said in finding.tried[0]
    assert not finding.repaired_from


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"0001.part", b"../1.part"),
        (b"file ", b"file 9"),
        (b"sealift media 1", b"sealift media 2"),
        (b" blobs/sha256/", b" ../sha256/"),
    ],
)
def test_a_hostile_table_harms_nothing_and_is_named(
    depot: Depot, media: Path, old: bytes, new: bytes
) -> None:
    table = media / "TABLE.txt"
    table.write_bytes(table.read_bytes().replace(old, new, 1))
    before = sorted(depot.path.rglob("*"))
    checked = _repair(depot, media)
    assert not any(finding.repaired_from for finding in checked.findings)
    assert all(finding.tried[0].startswith(f"{table}: ") for finding in checked.findings)
    assert sorted(depot.path.rglob("*")) == before


def test_parts_that_were_made_to_fit_a_hostile_table_bring_nothing_in(
    made: Site, depot: Depot, media: Path
) -> None:
    package = made.lock.packages[0].blob
    (name,) = _parts_of(media, package)
    before = hashlib.sha256((media / name).read_bytes()).hexdigest()
    (media / name).write_bytes((media / name).read_bytes().replace(b"a package", b"A package"))
    after = hashlib.sha256((media / name).read_bytes()).hexdigest()
    table = media / "TABLE.txt"
    table.write_bytes(table.read_bytes().replace(before.encode(), after.encode()))
    finding = next(f for f in _repair(depot, media).findings if f.digest == package.digest)
    assert f"{package.digest} is damaged, its content is" in finding.tried[0]
    assert not finding.repaired_from
    assert not depot.store.path(package).exists()


def test_media_and_folders_of_blobs_are_told_apart(made: Site, media: Path) -> None:
    found = folder_sources([media, bundle(made, 0)])
    assert found[0] == BlobFolder(bundle(made, 0))
    assert [str(source) for source in found] == [str(bundle(made, 0)), str(media)]


def test_killed_at_any_step_a_repair_from_media_finishes_when_run_again(
    depot: Depot, media: Path, tmp_path: Path
) -> None:
    for step in range(1, 1000):
        killed = Depot(tmp_path / f"killed{step}")
        shutil.copytree(depot.path, killed.path, copy_function=os.link)
        if not killed_at(step, lambda killed=killed: _repair(killed, media)):  # type: ignore[misc]
            break
        assert {f.digest for f in fsck(killed, (), silent).findings} <= {
            f.digest for f in fsck(depot, (), silent).findings
        }
        assert _repair(killed, media).ok
        assert not killed.store.partial.exists()
    assert step > 8
