"""What must hold for every byte of media, and for every table."""

from __future__ import annotations

import functools
import itertools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.bundle import signature
from sealift.content import digest_of
from sealift.errors import SealiftError
from sealift.media.table import (
    Named,
    Table,
    cut,
    dump_table,
    parse_table,
    part_name,
    part_sizes,
)
from tests.unit import media_bundle
from tests.unit.media_bundle import Site, content, damaged_in_every_way, passes

WHERE = Path("TABLE.txt")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    # ssh-keygen's answer to one question is remembered: damage to parts leaves the question as it was.
    monkeypatch.setattr(signature, "verify", functools.cache(signature.verify))
    return media_bundle.site(tmp_path, bytes(range(100)))


def test_every_damage_to_a_part_is_found_and_leaves_nothing_behind(site: Site, tmp_path: Path) -> None:
    media, out = tmp_path / "media", tmp_path / "out"
    site.write(media, 300)
    parts = {path.name: path.read_bytes() for path in sorted(media.glob("*.part"))}
    assert len(parts) > 3
    for name, whole in parts.items():
        shutil.rmtree(out, ignore_errors=True)
        for damaged in damaged_in_every_way(whole):
            (media / name).write_bytes(damaged)
            done = site.read(out, media)
            assert done.missing[0] == name
            assert f"part {name} is damaged" in done.problems[0]
        (media / name).write_bytes(whole)
        site.read(out, media)
        assert content(out) == content(site.bundle)


# Each answer about table or signature is ssh-keygen's, 10 ms: tests/peers asks about every byte of them.
@pytest.mark.parametrize(
    ("name", "every"), [("TABLE.txt", 23), ("TABLE.txt.sig", 5), ("RESCUE.txt", 1), ("START.py", 997)]
)
def test_damage_to_what_describes_the_parts_is_found(
    site: Site, tmp_path: Path, name: str, every: int
) -> None:
    media = tmp_path / "media"
    site.write(media, 1 << 20)
    whole = (media / name).read_bytes()
    passed = [
        damaged
        for damaged in itertools.islice(damaged_in_every_way(whole), 0, None, every)
        if passes(site, media / name, damaged)
    ]
    # White space in a signature's armour means nothing: what it proves is the same.
    assert {b"".join(damaged.split()) for damaged in passed} <= {b"".join(whole.split())}
    assert name == "TABLE.txt.sig" or not passed


def _table(files: list[int], size: int) -> Table:
    named = [Named(f"blobs/sha256/{b.hex}", b) for b in (digest_of(bytes([n])) for n in range(len(files)))]
    sized = [
        Named(file.name, file.blob.model_copy(update={"size": n}))
        for file, n in zip(named, files, strict=True)
    ]
    small = [Named(name, digest_of(name.encode())) for name in ("index.json", "index.json.sig", "oci-layout")]
    every = tuple(sorted((*sized, *small), key=lambda file: file.name))
    parts = tuple(
        Named(part_name(number), digest_of(b"").model_copy(update={"size": n}))
        for number, n in enumerate(part_sizes(every, size), 1)
    )
    return Table(digest_of(b"help"), digest_of(b"start"), None, parts, every)


@given(st.lists(st.integers(0, 5000), max_size=20), st.integers(50, 3000))
def test_slices_cover_every_file_once_and_fill_every_part(files: list[int], size: int) -> None:
    table = _table(files, size)
    pieces = table.slices()
    assert pieces == cut(table.files, part_sizes(table.files, size))
    assert [sum(piece.size for piece in part) for part in pieces] == [p.blob.size for p in table.parts]
    assert all(part.blob.size <= size for part in table.parts)
    for file in table.files:
        end = 0
        for piece in (piece for part in pieces for piece in part if piece.file == file):
            assert piece.offset == end
            end += piece.size
        assert end == file.blob.size


@given(st.lists(st.integers(0, 1 << 40), max_size=9), st.integers(1 << 35, 1 << 42))
def test_a_table_is_parsed_as_it_was_written(files: list[int], size: int) -> None:
    table = _table(files, size)
    assert parse_table(dump_table(table), WHERE) == table


@given(st.binary(max_size=40), st.integers(0, 900), st.integers(0, 60))
@settings(max_examples=500)
def test_a_table_is_refused_or_means_exactly_its_bytes(insert: bytes, position: int, remove: int) -> None:
    whole = dump_table(_table([10, 0, 700], 300))
    mutated = whole[:position] + insert + whole[position + remove :]
    try:
        table = parse_table(mutated, WHERE)
    except SealiftError:
        return
    assert dump_table(table) == mutated


@given(st.lists(st.binary(max_size=600), max_size=5), st.integers(60, 900), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_any_bundle_comes_back_from_any_sticks(layers: list[bytes], size: int, random: object) -> None:
    assert hasattr(random, "shuffle")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = media_bundle.site(folder, b"other")
        site = Site(folder / "any", first.key, first.allowed)
        media_bundle.make(site.bundle, site.key, *layers)
        parts = [part.name for part in site.write(folder / "media", size).table.parts]
        random.shuffle(parts)
        while parts:
            stick = folder / f"stick{len(parts)}"
            stick.mkdir()
            for path in ("TABLE.txt", "TABLE.txt.sig", "RESCUE.txt", "START.py", *parts[:4]):
                shutil.copy(folder / "media" / path, stick)
            del parts[:4]
            assert not site.read(folder / "out", stick).problems
        assert content(folder / "out") == content(site.bundle)


def _replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(table: bytes) -> bytes:
        assert old in table
        return table.replace(old, new, 1)

    return change


def _line(table: bytes, kind: bytes, index: int) -> bytes:
    return [line for line in table.splitlines(keepends=True) if line.startswith(kind)][index]


HOSTILE = {
    "a path that leads out": (_replaced(b" index.json\n", b" ../../x\n"), "is no file of a bundle"),
    "an absolute path": (_replaced(b" oci-layout\n", b" /etc/passwd\n"), "is no file of a bundle"),
    "a hidden file": (_replaced(b" index.json\n", b" .profile\n"), "is no file of a bundle"),
    "a name that differs in case alone": (
        _replaced(b" oci-layout\n", b" indeX.json\n"),
        r"'indeX\.json' is no file of a bundle|order",
    ),
    "a part as a file": (
        _replaced(b" oci-layout\n", b" 0001.part\n"),
        r"'0001\.part' is no file of a b|order",
    ),
    "a folder as a file": (_replaced(b" oci-layout\n", b" partial\n"), "is no file of a bundle"),
    "a blob of another name": (
        lambda t: t.replace(_line(t, b"file", 0)[5:69], b"0" * 64, 1),
        "is not named by its digest",
    ),
    "no index": (lambda t: t.replace(_line(t, b"file", -3), b""), "carries no index"),
    "the same file twice": (lambda t: t.replace(_line(t, b"file", 0), _line(t, b"file", 0) * 2), "twice"),
    "no START.py": (lambda t: t.replace(_line(t, b"start", 0), b""), r"does not name START\.py once"),
    "two START.py": (
        lambda t: t.replace(_line(t, b"start", 0), _line(t, b"start", 0) * 2),
        r"does not name START\.py once",
    ),
    "a START.py elsewhere": (_replaced(b" START.py", b" ../START.py"), r"does not name START\.py once"),
    "code by another name": (
        lambda t: t.replace(_line(t, b"part", 0), b"code %064d 1 x.tar\n" % 0 + _line(t, b"part", 0)),
        r"names code\.tar twice, or by another name",
    ),
    "the same part twice": (
        lambda t: t.replace(_line(t, b"part", 0), _line(t, b"part", 0) * 2),
        r"part 2 is empty or not named 0002\.part",
    ),
    "a part that is a path": (_replaced(b" 0001.part", b" ../0001.part"), r"not named 0001\.part"),
    "a part missing": (lambda t: t.replace(_line(t, b"part", 0), b""), r"not named 0001\.part"),
    "no parts": (lambda t: b"".join(x for x in t.splitlines(True) if x[:4] != b"part"), "has 0 parts"),
    "a part more than all files": (
        _replaced(b" 300 0001", b" 301 0001"),
        "its parts have .* bytes, its files",
    ),
    "a huge number": (_replaced(b" 300 0001", b" 99999999999999999999 0001"), "line 4 is none"),
    "a size with a zero before it": (_replaced(b" 300 0001", b" 0300 0001"), "line 4 is none"),
    "a negative size": (_replaced(b" 300 0001", b" -300 0001"), "line 4 is none"),
    "a part of a file's line": (lambda t: t[:-1], "does not end with a whole line"),
    "another version": (_replaced(b"media 1", b"media 2"), "does not begin"),
    "digits of another script": (_replaced(b" 300 0001", " ٣٠٠ 0001".encode()), "line 4 is none"),
    "a carriage return": (_replaced(b"0001.part\n", b"0001.part\r\n"), "line 4 is none"),
    "ten thousand parts": (
        lambda t: t.replace(
            _line(t, b"part", 0), b"".join(b"part %064d 1 %04d.part\n" % (0, n) for n in range(1, 10_001))
        ),
        r"has 100\d\d parts, expected 1 to 9999",
    ),
    "more than a disk holds": (
        lambda t: t.replace(b" 300 0001", b" 9000000000000200 0001").replace(
            b" 100 blobs", b" 9000000000000000 blobs"
        ),
        "bytes free, expected 9000",
    ),
    "more than memory holds": (lambda t: t + b"x" * (33 << 20), "has more than"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_table_is_refused_though_its_signer_is_allowed(
    site: Site, tmp_path: Path, what: str
) -> None:
    change, message = HOSTILE[what]
    site.write(tmp_path / "media", 300)
    table = change((tmp_path / "media" / "TABLE.txt").read_bytes())
    (tmp_path / "media" / "TABLE.txt").write_bytes(table)
    (tmp_path / "media" / "TABLE.txt.sig").write_bytes(signature.sign(table, site.key))
    before = set(tmp_path.iterdir())
    with pytest.raises(SealiftError, match=message):
        site.read(tmp_path / "out", tmp_path / "media")
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "out"}
    assert not any(path.is_file() and path.name != "TABLE.txt" for path in (tmp_path / "out").rglob("*"))


def test_a_part_that_is_right_with_a_blob_that_is_not_is_refused(site: Site, tmp_path: Path) -> None:
    """A signed table that lies about a part's hash, as a damaged bundle could have been written."""
    site.write(tmp_path / "media", 1 << 20)
    part, table = tmp_path / "media" / "0001.part", tmp_path / "media" / "TABLE.txt"
    altered = b"y" * part.stat().st_size
    lying = table.read_bytes().replace(
        digest_of(part.read_bytes()).hex.encode(), digest_of(altered).hex.encode()
    )
    part.write_bytes(altered)
    table.write_bytes(lying)
    (tmp_path / "media" / "TABLE.txt.sig").write_bytes(signature.sign(lying, site.key))
    for _ in range(2):
        with pytest.raises(SealiftError, match="though every part of it was right"):
            site.read(tmp_path / "out", tmp_path / "media")
    assert not list((tmp_path / "out" / "blobs" / "sha256").iterdir())
    assert not (tmp_path / "out" / "index.json").exists()
