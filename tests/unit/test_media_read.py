"""Media read: in any order, with bad parts and foreign ones, by RESCUE.txt, and after a kill at any step."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.bundle import signature
from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.progress import silent
from tests.unit import media_bundle, samples
from tests.unit.killing import killed_at
from tests.unit.media_bundle import Site, content, parts, stick_of

FAT_EPOCH = 315532800  # 1980-01-01, the first day that FAT has


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return media_bundle.site(tmp_path)


@pytest.fixture
def media(site: Site, tmp_path: Path) -> Path:
    site.write(tmp_path / "media")
    return tmp_path / "media"


def test_what_is_read_is_the_bundle_byte_for_byte(site: Site, media: Path, tmp_path: Path) -> None:
    assert len(parts(media)) > 5
    assert {path.stat().st_size for path in parts(media)[:-1]} == {200}
    done = site.read(tmp_path / "out", media)
    assert (done.missing, done.problems, done.media.signer) == ((), (), "release@example.org")
    assert content(tmp_path / "out") == content(site.bundle)


def test_sticks_come_in_any_order_and_over_several_passes(site: Site, media: Path, tmp_path: Path) -> None:
    last = len(parts(media))
    first = site.read(tmp_path / "out", stick_of(media, tmp_path / "c", last, 2))
    assert first.taken == ("0002.part", f"{last:04}.part")
    assert first.missing[:2] == ("0001.part", "0003.part")
    assert not (tmp_path / "out" / "index.json").exists()
    odd = stick_of(media, tmp_path / "a", *range(1, last, 2))
    even = stick_of(media, tmp_path / "b", *range(4, last, 2))
    assert site.read(tmp_path / "out", even, odd).missing == ()
    assert content(tmp_path / "out") == content(site.bundle)
    assert site.read(tmp_path / "out", odd).taken == ()


def test_a_bad_part_is_named_with_its_remedy_and_a_good_copy_is_found(
    site: Site, media: Path, tmp_path: Path
) -> None:
    good = stick_of(media, tmp_path / "good", 3)
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
    site.read(tmp_path / "out", stick_of(media, tmp_path / "first", 1, 2, 3))
    site.write(tmp_path / "larger", 600)
    assert site.read(tmp_path / "out", tmp_path / "larger").missing == ()
    assert content(tmp_path / "out") == content(site.bundle)


def test_rescue_needs_sh_and_four_tools_alone(site: Site, media: Path, tmp_path: Path) -> None:
    """Those that docs/carry.md names, and no other."""
    page = (Path(__file__).parents[2] / "docs/carry.md").read_text()
    assert "a script for `sh`, `sha256sum`, `head`, `tail` and `mkdir`:" in page
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sha256sum", "head", "tail", "mkdir"):
        (tools / name).symlink_to(str(shutil.which(name)))
    last = len(parts(media))
    one = stick_of(media, tmp_path / "stick 1", *range(1, last, 2), 2)
    two = stick_of(media, tmp_path / "stick 2", *range(2, last + 1, 2))
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


def test_a_medium_for_a_bundle_is_told_apart(site: Site, media: Path, tmp_path: Path) -> None:
    with pytest.raises(SealiftError) as refused:
        import_bundle(Depot(tmp_path / "depot"), media, site.allowed, silent)
    put_together = f"sealift media read {media} --out BUNDLE --allowed-signers {site.allowed}"
    assert str(refused.value) == (
        f"{media}: is a medium, expected a bundle's folder. Put the bundle together first: {put_together}"
    )


def test_a_stick_that_knows_no_modes_and_no_times_is_read(site: Site, media: Path, tmp_path: Path) -> None:
    """As Linux shows exFAT, NTFS and FAT: all may write and run it, and no clock was set."""
    for path in (*media.rglob("*"), media):
        path.chmod(0o777)
        os.utime(path, (FAT_EPOCH, FAT_EPOCH))
    assert site.read(tmp_path / "out", media).missing == ()
    assert content(tmp_path / "out") == content(site.bundle)
    assert {path.stat().st_mode & 0o022 for path in (tmp_path / "out").rglob("*")} == {0}
    assert {path.stat().st_mtime for path in media.rglob("*")} == {FAT_EPOCH}
