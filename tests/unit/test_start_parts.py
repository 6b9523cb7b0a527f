"""START.py finds the code in the parts of media, also where a part is damaged or elsewhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.content import digest_of
from sealift.install.start import Media
from sealift.media.table import Named, Table, cut, dump_table, part_name, part_sizes
from tests.unit.start_media import MAIN, TELLS, Site, make, tar_of


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make(tmp_path, tar_of({MAIN: TELLS, "deploy.py": b"pass\n"}))


def test_the_control_nodes_files_come_first(site: Site) -> None:
    files = [
        line.split()[3] for line in (site.media / "TABLE.txt").read_text().splitlines() if line[:5] == "file "
    ]
    first = files[: files.index("index.json")]
    assert f"blobs/sha256/{site.code.hex}" in first
    assert f"blobs/sha256/{digest_of(bytes(20_000)).hex}" not in first


def _parts_of_the_code(site: Site) -> list[str]:
    media = Media([site.media], (site.media / "TABLE.txt").read_bytes())
    item = media.files[f"blobs/sha256/{site.code.hex}"]
    return [part.name for part, _, _ in media.slices(item)]


def test_a_damaged_part_is_named_and_a_good_copy_of_it_will_do(site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.media, tmp_path / "copy")
    name = _parts_of_the_code(site)[0]
    content = bytearray((site.media / name).read_bytes())
    content[:] = bytes(byte ^ 1 for byte in content)
    (site.media / name).write_bytes(content)
    refused = site.refused()
    assert f"blobs/sha256/{site.code.hex}: is not what the table says, so {name} " in refused
    assert not site.unpacked.exists()
    assert site.start(site.media, tmp_path / "copy").returncode == 0


def test_a_part_that_is_elsewhere_is_named(site: Site, tmp_path: Path) -> None:
    name = _parts_of_the_code(site)[0]
    (tmp_path / "other").mkdir()
    (site.media / name).rename(tmp_path / "other" / name)
    assert f"{name}: is needed to start, and not whole in {site.media}." in site.refused()
    assert site.start(site.media, tmp_path / "other").returncode == 0


def test_a_truncated_part_is_not_whole(site: Site) -> None:
    name = _parts_of_the_code(site)[0]
    os.truncate(site.media / name, 10)
    assert f"{name}: is needed to start, and not whole in" in site.refused()


def test_a_table_without_code_says_what_to_do(site: Site) -> None:
    table = site.media / "TABLE.txt"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if not line.startswith("code ")))
    site.sign_again()
    assert "names no code for a control node. Add `control` to the release file." in site.refused()


def test_a_delta_is_told_from_a_whole_bundle(site: Site) -> None:
    table = site.media / "TABLE.txt"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(x for x in lines if not (x[:5] == "file " and site.code.hex in x)))
    site.sign_again()
    assert "If they carry an upgrade, use the control node that runs" in site.refused()


@given(st.lists(st.integers(0, 5000), max_size=20), st.integers(50, 3000))
def test_it_finds_files_in_parts_where_media_read_does(sizes: list[int], size: int) -> None:
    files = tuple(
        Named(
            f"blobs/sha256/{digest_of(bytes([n])).hex}", digest_of(bytes([n])).model_copy(update={"size": s})
        )
        for n, s in enumerate([*sizes, 1])
    )
    parts = tuple(
        Named(part_name(number), digest_of(b"").model_copy(update={"size": s}))
        for number, s in enumerate(part_sizes(files, size), 1)
    )
    table = Table(digest_of(b"help"), digest_of(b"start"), None, parts, files)
    media = Media([], dump_table(table))
    found = {
        (item.name, part.name, offset, length)
        for item in media.files.values()
        for part, offset, length in media.slices(item)
    }
    expected = set()
    for part, pieces in zip(parts, cut(files, [p.blob.size for p in parts]), strict=True):
        at = 0
        for piece in pieces:
            if piece.size:
                expected.add((piece.file.name, part.name, at, piece.size))
            at += piece.size
    assert found == expected
