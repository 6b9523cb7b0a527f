"""Media written: lost and bad parts, a part alone, parts of other media, a full disk."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.media.table import FAT32, parse_parts, parse_size
from tests.unit import media_bundle
from tests.unit.media_bundle import Site, content, parts


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return media_bundle.site(tmp_path)


@pytest.fixture
def media(site: Site, tmp_path: Path) -> Path:
    site.write(tmp_path / "media")
    return tmp_path / "media"


def test_writing_is_deterministic(site: Site, media: Path, tmp_path: Path) -> None:
    site.write(tmp_path / "again")
    assert content(tmp_path / "again") == content(media)


def test_a_lost_part_and_a_bad_one_are_written_alone(site: Site, media: Path) -> None:
    whole = content(media)
    before = {path.name: path.stat().st_ino for path in parts(media)}
    (media / "0002.part").unlink()
    (media / "0004.part").write_bytes(b"x" * 200)
    (media / "0005.part").write_bytes(b"short")
    again = site.write(media)
    assert again.written == ("0002.part", "0004.part", "0005.part")
    assert content(media) == whole
    assert {name: before[name] for name in again.kept} == {
        name: (media / name).stat().st_ino for name in again.kept
    }


def test_a_part_alone_comes_with_the_table_of_all(site: Site, media: Path, tmp_path: Path) -> None:
    site.write(tmp_path / "stick", 200, 3)
    assert content(tmp_path / "stick") == {
        name: held for name, held in content(media).items() if name == "0003.part" or "part" not in name
    }
    with pytest.raises(SealiftError, match=r"--part 99: there are parts 1 to \d+"):
        site.write(tmp_path / "stick", 200, 99)


def test_parts_of_other_media_make_room(site: Site, media: Path, tmp_path: Path) -> None:
    (media / "holiday.jpg").write_bytes(b"somebody's own")
    site.write(media, 500, 1)
    assert [path.name for path in parts(media)] == ["0001.part"]
    assert (media / "holiday.jpg").exists()


def test_parts_of_other_media_stay_where_the_new_ones_would_not_fit(
    site: Site, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(media)
    old = [*parts(media), media / "TABLE.txt"]
    free = sum(path.stat().st_size for path in parts(media)) - sum(
        path.stat().st_blocks * 512 for path in old
    )

    def left(count: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, count))

    left(free - 1)
    with pytest.raises(SealiftError, match=r"expected \d+\. Take a larger medium"):
        site.write(media, 1 << 30)
    assert content(media) == before
    left(free)  # what the old parts take is room for the new ones
    assert site.write(media, 1 << 30).written == ("0001.part",)


@pytest.mark.parametrize("table", [b"", b"a list of somebody's own", None])
def test_parts_of_somebody_else_are_never_removed(site: Site, tmp_path: Path, table: bytes | None) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("2024.part", "0001.part"):
        (folder / name).write_bytes(b"somebody's own")
    if table is not None:
        (folder / "TABLE.txt").write_bytes(table)
    before = content(folder)
    with pytest.raises(
        SealiftError, match=r"films/0001\.part: is there and 1 more like it, and no TABLE\.txt"
    ):
        site.write(folder)
    assert content(folder) == before


def test_a_part_that_the_table_there_does_not_name_is_never_removed(site: Site, media: Path) -> None:
    (media / "2024.part").write_bytes(b"somebody's own")
    before = content(media)
    with pytest.raises(SealiftError, match=r"media/2024\.part: is there, and no TABLE\.txt that names it"):
        site.write(media, 500)
    assert content(media) == before


@pytest.mark.parametrize("name", ["START.py", "RESCUE.txt", "TABLE.txt"])
def test_a_pipe_where_a_file_is_written_is_replaced(site: Site, media: Path, name: str) -> None:
    before = content(media)
    for part in parts(media):
        part.unlink()
    (media / name).unlink()
    os.mkfifo(media / name)
    site.write(media)
    assert content(media) == before


def test_a_damaged_bundle_is_not_written(site: Site, tmp_path: Path) -> None:
    layer = site.bundle / "blobs" / "sha256" / hashlib.sha256(bytes(range(250))).hexdigest()
    layer.chmod(0o644)
    layer.write_bytes(b"y" * layer.stat().st_size)
    with pytest.raises(SealiftError, match=f"{layer.name}: is damaged. Remove it"):
        site.write(tmp_path / "media")
    assert not (tmp_path / "media" / "TABLE.txt").exists()


def test_a_blob_cut_short_is_not_written(site: Site, tmp_path: Path) -> None:
    layer = site.bundle / "blobs" / "sha256" / hashlib.sha256(bytes(range(250))).hexdigest()
    layer.chmod(0o644)
    layer.write_bytes(b"short")
    with pytest.raises(SealiftError, match=f"{layer.name}: is damaged, expected 250 bytes of"):
        site.write(tmp_path / "media")
    assert not (tmp_path / "media").exists()


def test_what_no_index_names_is_not_carried_and_not_signed(site: Site, media: Path, tmp_path: Path) -> None:
    before = content(media)
    blobs = site.bundle / "blobs" / "sha256"
    stray = b"planted in the folder"
    (blobs / hashlib.sha256(stray).hexdigest()).write_bytes(stray)
    (blobs / "notes").write_bytes(b"no blob")
    (site.bundle / "notes.txt").write_bytes(b"somebody's own")
    site.write(media)
    assert content(media) == before


def test_a_full_disk_is_said_before_anything_is_written(
    site: Site, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1000, 500, 500))
    with pytest.raises(SealiftError, match=r"has room for 500 bytes, .* Write --part 1-2 here"):
        site.write(tmp_path / "small")
    with pytest.raises(SealiftError, match=r"out: has 500 bytes free, expected \d+\. Make room"):
        site.read(tmp_path / "out", media)
    assert content(tmp_path / "small") == {}


@pytest.mark.parametrize(
    ("text", "size"),
    [("700M", 700 << 20), ("4G", FAT32), ("fat32", FAT32), ("8G", 8 << 30), ("1T", 1 << 40), ("123", 123)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "4GB", "-1", "1.5G", "4g", "fat", "9" * 30])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(SealiftError, match="is no size"):
        parse_size(text)


def test_part_numbers() -> None:
    assert parse_parts(["3", "5-7"]) == {3, 5, 6, 7}
    for wrong in ("0", "4-2", "a", "1-", "1-99999"):
        with pytest.raises(SealiftError, match="is no part"):
            parse_parts([wrong])


def test_more_parts_than_names_are_refused(site: Site, tmp_path: Path) -> None:
    media_bundle.make(tmp_path / "big", site.key, bytes(20_000))
    with pytest.raises(SealiftError, match="makes 20"):
        Site(tmp_path / "big", site.key, site.allowed).write(tmp_path / "media", 1)
