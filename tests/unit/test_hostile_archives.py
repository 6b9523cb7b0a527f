"""Archives, registries and hosts that lie: bombs, names, links, answers; all refused, and nothing kept."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from pyinfra.api import FactProcessError

from sealift.blob import Blob
from sealift.content import digest_of
from sealift.errors import SealiftError
from sealift.evidence import junit
from sealift.facts.nvidia import NvidiaCdi
from sealift.install.content import control_part
from sealift.install.start import StartError, verify
from sealift.oci.manifest import parse_manifest, read_diff_ids
from sealift.oci.tarball import Tarball
from sealift.release.types import Image, Model
from sealift.sbom.licences import of_deb
from sealift.sbom.python_licences import of_wheel
from sealift.site.inventory import parse_inventory
from sealift.sources.arrivals import Arrivals
from sealift.sources.compression import FLOOR, RATIO
from tests.fuzz.over_http import answer, asking
from tests.unit import control_lock, samples
from tests.unit.little import little
from tests.unit.samples import lock_image, lock_model
from tests.unit.test_archives import _oci_files

IMAGE = Image(name=samples.IMAGE, archive="a.tar")


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_a_bomb_stops_at_a_bound_and_leaves_nothing(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    bomb = compress(bytes(16 << 20)) * 24
    assert len(bomb) * RATIO + FLOOR < 24 * 16 << 20
    (tmp_path / "a.tar").write_bytes(bomb)
    for lock in (
        lambda: lock_image(IMAGE, tmp_path),
        lambda: lock_model(samples.MODEL, Model(archive="a.tar"), tmp_path),
    ):
        with pytest.raises(SealiftError, match=r"a\.tar: grows to more than 200 times its \d+ bytes"):
            lock()
    files = samples.docker_files([b"a layer"])
    samples.tar(tmp_path / "a.tar", {**files, "l0/layer.tar": bomb})
    with pytest.raises(SealiftError, match=r"layer 1: grows to more than 200 times"):
        lock_image(IMAGE, tmp_path)
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size]
    assert left == []


def test_a_package_that_is_a_bomb_is_not_unpacked_without_end(tmp_path: Path) -> None:
    for name, content in (("debian-binary", b"2.0\n"), ("control.tar", b""), ("data.tar.zst", b"")):
        (tmp_path / name).write_bytes(content)
    with tarfile.open(tmp_path / "control.tar", "w") as archive:
        info = tarfile.TarInfo("./control")
        control = b"Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n"
        info.size = len(control)
        archive.addfile(info, io.BytesIO(control))
    header = tarfile.TarInfo("./zeros")
    header.size = 8 << 30
    packer = zstandard.ZstdCompressor(level=1).compressobj()
    packed = [packer.compress(header.tobuf()), *(packer.compress(bytes(16 << 20)) for _ in range(512))]
    (tmp_path / "data.tar.zst").write_bytes(b"".join(packed) + packer.flush())
    ar = ("ar", "rc", "x.deb", "debian-binary", "control.tar", "data.tar.zst")
    subprocess.run(ar, cwd=tmp_path, check=True)
    began = time.monotonic()
    with pytest.raises(SealiftError, match=r"^packages: x: .*x\.deb grows to more than 200 times its size"):
        of_deb("x", tmp_path / "x.deb")
    assert time.monotonic() - began < 2  # all of its 8 GiB take longer


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        for name in ("manifest.json", "./manifest.json"):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = (kind if name.startswith(".") else tarfile.REGTYPE), "x"
            archive.addfile(info)
    with pytest.raises(SealiftError, match=r"has 'manifest\.json' twice: readers differ in which they take"):
        Tarball(tmp_path / "t.tar")
    assert Tarball(tmp_path / "t.tar", of_root=True).names() == ("manifest.json",)


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.BLKTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE])
def test_what_is_neither_file_nor_folder_nor_link_is_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        info = tarfile.TarInfo("x")
        info.type = kind
        archive.addfile(info)
    with pytest.raises(SealiftError, match="'x' is neither file, folder nor link"):
        Tarball(tmp_path / "t.tar")


def test_a_name_that_no_system_has_room_for_is_refused(tmp_path: Path) -> None:
    samples.tar(tmp_path / "t.tar", {"d/" * 2500 + "x": b""})
    with pytest.raises(SealiftError, match="has a name of 5001 characters"):
        Tarball(tmp_path / "t.tar")


def test_a_layout_whose_links_lead_out_is_refused(tmp_path: Path) -> None:
    files = _oci_files([b"a layer"])
    for target in ("/etc/shadow", "../../../../etc/shadow"):
        name = next(name for name in files if name.startswith("blobs/"))
        samples.tar(tmp_path / "a.tar", {n: c for n, c in files.items() if n != name}, {name: target})
        with pytest.raises(SealiftError, match="leads out of it"):
            lock_image(IMAGE, tmp_path)


def test_an_image_says_its_platform_in_words() -> None:
    config = {"os": "linux\nsealift: all is well", "architecture": "amd64", "rootfs": {"diff_ids": []}}
    with pytest.raises(SealiftError, match=r"^x: is not an image's config"):
        read_diff_ids(json.dumps(config).encode(), 0, "x")
    entry = {"mediaType": "x", "digest": f"sha256:{'0' * 64}", "size": 1, "platform": {"os": "\x1b[2J"}}
    with pytest.raises(SealiftError, match=r"^x: manifests\.0\.platform\.os"):
        parse_manifest(json.dumps({"manifests": [entry]}).encode(), "x")


BLOB = bytes(range(256)) * 4


@pytest.mark.parametrize(
    "answers",
    [
        [answer(b"", "302 Found", "Location: \xb1")],
        [answer(b"", "302 Found", "Location: http://[2J\x1b]/x")],
        [answer(b"", "302 Found", "Location: https://[")],
        [answer(b"", "401 Unauthorized", f"WWW-Authenticate: Bearer {'a' * 60_000}")],
        [answer(b"", "401 Unauthorized", 'WWW-Authenticate: Bearer realm="http://127.0.0.1:x/"')],
        [b"\0" * 1000],
        [b""],
    ],
)
def test_an_answer_that_trips_its_reader_is_one_message(tmp_path: Path, answers: list[bytes]) -> None:
    with (
        asking(answers, tmp_path) as registry,
        little(),
        pytest.raises(SealiftError, match=r"^127\.0\.0\.1:"),
    ):
        registry.manifest("latest")


def test_an_answer_in_a_million_pieces_costs_little(tmp_path: Path) -> None:
    """Each piece was added to a copy of all before it."""
    chunks = b"1\r\nx\r\n" * 300_000 + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with asking([head + chunks], tmp_path) as registry, little():
        assert registry.manifest("latest") == b"x" * 300_000


def test_a_registry_that_begins_anew_for_ever_is_given_up(tmp_path: Path) -> None:
    """It knows no ranges and breaks off, now sooner, now later: that was progress each other time."""
    whole = answer(BLOB)
    cut = [whole[: -len(BLOB) + 10], whole[: -len(BLOB) + 500]]
    blob = Blob(digest=digest_of(BLOB).digest, size=len(BLOB))
    with (
        asking(cut, tmp_path) as registry,
        little(),
        pytest.raises(SealiftError, match="breaks again and again"),
    ):
        Arrivals(tmp_path).download(blob, registry.reader(blob.digest), "x", lambda _: None)


def test_a_wheel_packed_badly_declares_nothing(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.whl", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x-1.dist-info/METADATA", "License: MIT\n" * 100)
    content = bytearray((tmp_path / "x.whl").read_bytes())
    assert of_wheel(tmp_path / "x.whl") == ("MIT",)
    for position in range(60, 90):
        (tmp_path / "x.whl").write_bytes(content[:position] + b"\xff" + content[position + 1 :])
        assert of_wheel(tmp_path / "x.whl") in ((), ("MIT",))


@pytest.mark.parametrize(
    "raw", [None, 1, "x", {}, [1], [{"name": "h"}], [{"name": "a\nb", "groups": [], "data": {}}]]
)
def test_an_inventory_that_is_none_is_refused(raw: object) -> None:
    with pytest.raises(SealiftError, match=r"^i\.py: (what pyinfra prints of it is no list|has no hosts)"):
        parse_inventory(Path("i.py"), raw)


@pytest.mark.parametrize(
    "report",
    [
        b'<testcase classname="a" name="b" time="x"/>',
        b'<testcase classname="a" name="b" time="-1"/>',
        b'<?xml version="1.0" encoding="upf-8"?><x/>'.replace(b"<x", b"\xff<x"),
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x [<!ENTITY a "b">]><x/>'.encode("utf-16"),
    ],
)
def test_a_report_that_is_not_pytests_is_refused(report: bytes) -> None:
    with pytest.raises(SealiftError, match=r"^h1: the test report"):
        junit.parse(report, "h1")


def test_a_fact_without_an_answer_fails_its_host_alone() -> None:
    with pytest.raises(FactProcessError):
        NvidiaCdi().process([])


def test_a_lock_with_a_size_beyond_all_numbers_is_refused_on_a_bare_control_node() -> None:
    content = json.dumps(control_lock.lock()).replace('"size": 7', '"size": Infinity').encode()
    assert b"Infinity" in content
    with pytest.raises(SealiftError, match=r"^lock: is not as sealift lock writes it"):
        control_part(content, "sha256:00")


def test_a_pipe_in_place_of_a_table_is_not_waited_for_by_a_bare_control_node(tmp_path: Path) -> None:
    subprocess.run(("mkfifo", tmp_path / "TABLE.txt"), check=True)
    with pytest.raises(StartError, match=r"TABLE\.txt: is no file"):
        verify([tmp_path], tmp_path / "allowed_signers", None)
