"""Media: written, lost, damaged, found again, read."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.bundle import signature
from sealift.errors import SealiftError
from sealift.media.table import FAT32, parse_parts, parse_size
from tests.unit import media_bundle, samples
from tests.unit.killing import killed_at
from tests.unit.media_bundle import Site, content


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return media_bundle.site(tmp_path)


@pytest.fixture
def media(site: Site, tmp_path: Path) -> Path:
    site.write(tmp_path / "media")
    return tmp_path / "media"


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.part"))


def _stick(media: Path, stick: Path, *numbers: int) -> Path:
    """A copy of the media with only some of the parts."""
    wanted = {f"{number:04}.part" for number in numbers}
    stick.mkdir()
    for path in media.iterdir():
        if path.suffix != ".part" or path.name in wanted:
            shutil.copy(path, stick)
    return stick


def test_what_is_read_is_the_bundle_byte_for_byte(site: Site, media: Path, tmp_path: Path) -> None:
    assert len(_parts(media)) > 5
    assert {path.stat().st_size for path in _parts(media)[:-1]} == {200}
    done = site.read(tmp_path / "out", media)
    assert (done.missing, done.problems, done.media.signer) == ((), (), "release@example.org")
    assert content(tmp_path / "out") == content(site.bundle)


def test_writing_is_deterministic(site: Site, media: Path, tmp_path: Path) -> None:
    site.write(tmp_path / "again")
    assert content(tmp_path / "again") == content(media)


def test_sticks_come_in_any_order_and_over_several_passes(site: Site, media: Path, tmp_path: Path) -> None:
    last = len(_parts(media))
    first = site.read(tmp_path / "out", _stick(media, tmp_path / "c", last, 2))
    assert first.taken == ("0002.part", f"{last:04}.part")
    assert first.missing[:2] == ("0001.part", "0003.part")
    assert not (tmp_path / "out" / "index.json").exists()
    odd = _stick(media, tmp_path / "a", *range(1, last, 2))
    even = _stick(media, tmp_path / "b", *range(4, last, 2))
    assert site.read(tmp_path / "out", even, odd).missing == ()
    assert content(tmp_path / "out") == content(site.bundle)
    assert site.read(tmp_path / "out", odd).taken == ()


def test_a_lost_part_and_a_bad_one_are_written_alone(site: Site, media: Path) -> None:
    whole = content(media)
    before = {path.name: path.stat().st_ino for path in _parts(media)}
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
    assert [path.name for path in _parts(media)] == ["0001.part"]
    assert (media / "holiday.jpg").exists()


def test_parts_of_other_media_stay_where_the_new_ones_would_not_fit(
    site: Site, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(media)
    old = [*_parts(media), media / "TABLE.txt"]
    free = sum(path.stat().st_size for path in _parts(media)) - sum(
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
    for part in _parts(media):
        part.unlink()
    (media / name).unlink()
    os.mkfifo(media / name)
    site.write(media)
    assert content(media) == before


def test_a_bad_part_is_named_with_its_remedy_and_a_good_copy_is_found(
    site: Site, media: Path, tmp_path: Path
) -> None:
    good = _stick(media, tmp_path / "good", 3)
    (media / "0003.part").write_bytes(b"x" * 200)
    done = site.read(tmp_path / "out", media)
    assert done.missing == ("0003.part",)
    assert str(done.problems[0]).startswith(f"{media}: part 0003.part is damaged: its hash is")
    assert "sealift media write BUNDLE --size 200 --part 3 --key KEY DIR" in done.problems[0]
    assert site.read(tmp_path / "out", media, good).missing == ()
    assert content(tmp_path / "out") == content(site.bundle)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.symlink_to("/dev/zero"), "is a link or a device"),
        (os.mkfifo, "is a link or a device"),
        (Path.mkdir, "is a link or a device"),
        (lambda path: path.write_bytes(b""), "has 0 bytes, expected 200"),
        (lambda path: path.write_bytes(b"x" * 201), "has 201 bytes, expected 200"),
    ],
)
def test_what_is_no_part_is_refused(
    site: Site, media: Path, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    (media / "0001.part").unlink()
    damage(media / "0001.part")
    done = site.read(tmp_path / "out", media)
    assert done.missing == ("0001.part",)
    assert message in done.problems[0]


@pytest.mark.parametrize("name", ["TABLE.txt", "TABLE.txt.sig"])
def test_a_pipe_in_place_of_the_table_is_not_waited_for(
    site: Site, media: Path, tmp_path: Path, name: str
) -> None:
    (media / name).unlink()
    os.mkfifo(media / name)
    with pytest.raises(SealiftError, match="is a link or a device"):
        site.read(tmp_path / "out", media)


def test_media_signed_by_a_stranger_are_refused(site: Site, media: Path, tmp_path: Path) -> None:
    stranger = samples.signing_key(tmp_path / "stranger")
    table = (media / "TABLE.txt").read_bytes()
    (media / "TABLE.txt.sig").write_bytes(signature.sign(table, stranger))
    with pytest.raises(SealiftError, match=r"media/TABLE\.txt\.sig: .*nobody in .*allowed_signers"):
        site.read(tmp_path / "out", media)
    assert not (tmp_path / "out").exists()


def test_media_of_two_bundles_are_not_mixed(site: Site, media: Path, tmp_path: Path) -> None:
    media_bundle.make(tmp_path / "other", site.key, b"another layer")
    Site(tmp_path / "other", site.key, site.allowed).write(tmp_path / "foreign")
    with pytest.raises(SealiftError, match="are of different media"):
        site.read(tmp_path / "out", media, tmp_path / "foreign")
    site.read(tmp_path / "out", tmp_path / "foreign")
    with pytest.raises(SealiftError, match="is not a copy of this bundle"):
        site.read(tmp_path / "out", media)


def test_a_somebodys_folder_is_never_read_into(site: Site, media: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(SealiftError, match=r"has thesis\.txt in it"):
        site.read(tmp_path / "out", media)


def test_media_cut_anew_go_on_with_the_blobs_that_are_whole(site: Site, media: Path, tmp_path: Path) -> None:
    site.read(tmp_path / "out", _stick(media, tmp_path / "first", 1, 2, 3))
    site.write(tmp_path / "larger", 600)
    assert site.read(tmp_path / "out", tmp_path / "larger").missing == ()
    assert content(tmp_path / "out") == content(site.bundle)


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


def test_rescue_needs_sh_and_four_tools_alone(site: Site, media: Path, tmp_path: Path) -> None:
    """Those that docs/carry.md names, and no other."""
    page = (Path(__file__).parents[2] / "docs/carry.md").read_text()
    assert "a script for `sh`, `sha256sum`, `head`, `tail` and `mkdir`:" in page
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sha256sum", "head", "tail", "mkdir"):
        (tools / name).symlink_to(str(shutil.which(name)))
    last = len(_parts(media))
    one = _stick(media, tmp_path / "stick 1", *range(1, last, 2), 2)
    two = _stick(media, tmp_path / "stick 2", *range(2, last + 1, 2))
    (one / "0002.part").write_bytes(b"x" * 200)

    def rescue(out: Path, *folders: Path) -> subprocess.CompletedProcess[str]:
        command = ["/bin/sh", "-eu", *map(str, (one / "RESCUE.txt", out, *folders))]
        return subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True, check=False)

    done = rescue(tmp_path / "rescued", one, two)
    assert done.returncode == 0, done.stderr
    assert f"{one}/0002.part: is damaged" in done.stderr
    assert content(tmp_path / "rescued") == content(site.bundle)
    lost = rescue(tmp_path / "half", one)
    assert lost.returncode == 1
    assert "part 0002.part: no folder has it whole" in lost.stderr
    assert not (tmp_path / "half" / "index.json").exists()


def test_killed_at_any_step_writing_and_reading_finish_when_run_again(site: Site, tmp_path: Path) -> None:
    media, out = tmp_path / "media", tmp_path / "out"
    steps = 0
    for step in range(1, 1000):
        shutil.rmtree(media, ignore_errors=True)
        if not killed_at(step, lambda: site.write(media, 400)):
            break
        site.write(media, 400)
        assert content(media).keys() >= {"TABLE.txt", "TABLE.txt.sig", "RESCUE.txt", "START.py"}
        assert not list(media.glob(".*"))  # nothing unfinished stays
        steps += 1
    for step in range(1, 1000):
        shutil.rmtree(out, ignore_errors=True)
        if not killed_at(step, lambda: site.read(out, media)):
            break
        assert site.read(out, media).missing == ()
        assert content(out) == content(site.bundle)
        steps += 1
    assert steps > 20


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
