"""What a hostile hand could put where sealift reads: each is refused at once, and nothing is written by it.

Links, pipes and devices: test_hostile_files.py. Tarballs: test_archives.py. Headers of weights: test_gguf.py.
Media: test_media_read.py and test_media_damage.py. Any input at all: test_fuzz.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sealift.blobs import BlobStore
from sealift.bundle import signature
from sealift.content import digest_of
from sealift.depot.store import read_lock
from sealift.errors import SealiftError
from sealift.files import parse_json
from sealift.oci.layout import INDEX, REF_NAME, SIGNATURE, read_index, read_layout
from sealift.oci.manifest import parse_manifest
from sealift.oci.tarball import Tarball
from sealift.release.lockfile import dump_lock, parse_lock
from sealift.release.parse import load_release
from sealift.sources.access import server_of
from sealift.sources.apt_config import run
from tests.unit import tiny
from tests.unit.little import little
from tests.unit.samples import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return tiny.site(tmp_path)


def _bundle(site: Site) -> Path:
    return site.sources.parent / "bundle"


_MANY = 1_000_000


@pytest.mark.parametrize(
    "content",
    [
        b'{"manifests":[' + b"{}," * _MANY + b"{}]}",
        b'{"layers":[' + b"0," * _MANY + b'0],"config":{}}',
        b'{"manifests":[],' + b",".join(b'"k%d":0' % n for n in range(_MANY // 4)) + b"}",
        b"[" * _MANY,
        b'{"a":' * _MANY,
    ],
)
def test_a_small_file_of_a_million_mistakes_costs_little(content: bytes) -> None:
    """A kilobyte a mistake was 4.6 GB and a minute for an index of 4 MB, 14 GB for a lock."""
    for parse in (parse_manifest, parse_lock):
        with little(), pytest.raises(SealiftError, match=r"^x: ") as refusal:
            parse(content, "x")
        assert len(str(refusal.value)) < 100_000


def test_a_lock_of_a_million_mistakes_costs_little() -> None:
    for name in (b"packages", b"images", b"models", b"release"):
        for value in (b"[" + b"{}," * _MANY + b"{}]", b'{"base":[' + b"0," * _MANY + b"0]}"):
            with little(), pytest.raises(SealiftError, match=r"^x: "):
                parse_lock(b'{"' + name + b'":' + value + b"}", "x")
    packages = b'{"sources":{},"all":[' + b"0," * _MANY + b"0]}"
    with little(), pytest.raises(SealiftError, match=r"release\.packages\.all: .*: value error, has"):
        parse_lock(b'{"release":{"packages":' + packages + b"}}", "x")


def test_inspecting_an_unsigned_bundle_of_a_million_mistakes_costs_little(site: Site) -> None:
    bundle = _bundle(site)
    store, index = BlobStore(bundle), json.loads(read_index(bundle))
    release = next(entry for entry in index["manifests"] if "release" in entry["annotations"].values())
    lock = store.put_bytes(b'{"packages":[' + b"{}," * _MANY + b"{}]}")
    manifest = {"config": {"mediaType": "x", **lock.model_dump()}, "layers": []}
    release.update(store.put_bytes(json.dumps(manifest).encode()).model_dump())
    (bundle / INDEX).write_text(json.dumps(index))
    with little(), pytest.raises(SealiftError, match=r"packages\.0\.name: is missing"):
        read_lock(read_layout(read_index(bundle), store), store)


@pytest.mark.parametrize(
    ("manifests", "names"),
    [(1, 8), (4, 2), (200, 200)],
    ids=["one by many names", "a few", "many small ones"],
)
def test_an_unsigned_bundle_of_too_many_manifests_costs_little(
    tmp_path: Path, manifests: int, names: int
) -> None:
    """Eight names of one manifest of 15 MB were 8 seconds and 882 MB."""
    store, entries = BlobStore(tmp_path), []
    part = {"mediaType": "x/y", "digest": f"sha256:{0:064}", "size": 0}
    layers = ",".join([json.dumps(part)] * (75_000 // manifests))
    for number in range(manifests):
        config = json.dumps({**part, "size": number})
        blob = store.put_bytes(f'{{"config":{config},"layers":[{layers}]}}'.encode())
        entries += [
            {**part, **blob.model_dump(), "annotations": {REF_NAME: f"{number}-{name}"}}
            for name in range(names)
        ]
    with little(), pytest.raises(SealiftError, match=r"manifests have more than \d+ bytes together"):
        read_layout(json.dumps({"manifests": entries}).encode(), store)


def test_a_manifest_by_two_names_is_parsed_once(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    part = {"mediaType": "x/y", "digest": f"sha256:{0:064}", "size": 0}
    blob = store.put_bytes(json.dumps({"config": part, "layers": [part]}).encode())
    entries = [{**part, **blob.model_dump(), "annotations": {REF_NAME: name}} for name in ("a", "b")]
    one, two = read_layout(json.dumps({"manifests": entries}).encode(), store).entries
    assert one.manifest is two.manifest


def test_a_lock_of_many_wheels_costs_little(tmp_path: Path) -> None:
    """Each name was counted in all of them: 40,000 wheels were a minute."""
    document = json.loads(dump_lock(tiny.site(tmp_path).lock))
    some = digest_of(b"").model_dump()
    wheels = [
        {"name": f"w{n}", "version": "1", "file": f"w{n}-1-py3-none-any.whl", "blob": some}
        for n in range(40_000)
    ]
    document["control"] = {"code": some, "requirements": some, "wheels": wheels}
    content = json.dumps(document).encode()
    with (
        little(),
        pytest.raises(SealiftError, match="control: stands in one of the lock and its release only"),
    ):
        parse_lock(content, "x")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_json_is_utf_8(encoding: str) -> None:
    with pytest.raises(SealiftError, match=r"^x: is not JSON"):
        parse_json('{"a": 1}'.encode(encoding), "x")


def test_foreign_text_cannot_pass_for_a_line_of_ours_nor_fill_a_screen() -> None:
    lock = b'{"release":1,"packages":[],"images":{},"models":{},"x\\nsealift: all is well":1}'
    with pytest.raises(SealiftError) as refusal:
        parse_lock(lock, "x")
    assert all(line.startswith("x: ") for line in str(refusal.value).split("\n"))
    assert "sealift: all is well" in str(refusal.value)
    long = str(SealiftError(f"x: {'A' * 5000}. Do this."))
    assert (len(long), long[:3], long[-9:]) == (755, "x: ", " Do this.")
    assert str(SealiftError("\n".join("x" * 300))).split("\n")[99:] == ["x", "and 200 more lines"]


YAML = {
    "tagged map of a list": ("roles: !!map [a]", "line 1: tags such as !!int are not used here"),
    "tagged bool": ("name: !!bool x", "line 1: tags such as !!int are not used here"),
    "tagged time": ("name: !!timestamp x", "line 1: tags such as !!int are not used here"),
    "endless hexadecimal": (f"version: 0x{'f' * 5000}", "version: '0xfff"),
    "endless minutes": (f"version: 1{':59' * 5000}", "version: '1:59"),
    "endless decimal": (f"version: {'9' * 5000}", "version: '999"),
    "a key with a line break": ('"a\\nsealift: all is well": 1', "sealift: all is well: is unknown"),
    "a control character": ("name: \x07", "is not YAML: unacceptable character"),
}


@pytest.mark.parametrize("what", YAML)
def test_yaml_that_trips_its_parser_is_one_line_a_mistake(tmp_path: Path, what: str) -> None:
    text, message = YAML[what]
    (tmp_path / "r.yaml").write_text(text)
    with little(), pytest.raises(SealiftError) as refusal:
        load_release(tmp_path / "r.yaml")
    assert message in str(refusal.value)
    assert all(line.startswith(f"{tmp_path / 'r.yaml'}: ") for line in str(refusal.value).split("\n"))


def test_a_login_that_is_no_ascii_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"r.example": {"auth": "\u00e9"}}}))
    with pytest.raises(SealiftError, match=r"the login of r\.example is not as docker login writes it"):
        server_of("r.example", {"DOCKER_CONFIG": str(tmp_path)})


def test_an_index_in_latin_1_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "said").write_bytes("Maintainer: J\u00f6rg\n".encode("latin-1"))
    assert run(("cat", str(tmp_path / "said")), {}) == "Maintainer: J\ufffdrg\n"


def test_a_pax_record_of_a_million_fields_costs_little(tmp_path: Path) -> None:
    """Each field was copied out of the rest of the record: half a terabyte for one of a megabyte."""
    record = b"4 =\n" * (1 << 18)
    header = bytearray(512)
    header[:1], header[124:136], header[156:157] = b"x", b"%011o\0" % len(record), b"x"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "t.tar").write_bytes(bytes(header) + record + bytes(1024))
    with little():
        assert Tarball(tmp_path / "t.tar").names() == ()


def test_a_signature_proves_a_bundle_by_its_content_alone(site: Site) -> None:
    """What is refused here is refused by ssh-keygen; test_bundle_damage.py tries every byte."""
    proof = (_bundle(site) / SIGNATURE).read_bytes()
    assert signature.verify(read_index(_bundle(site)), proof, site.allowed) == "release@example.org"
    for content in (b"", b"{}", read_index(_bundle(site)) + b"\n"):
        with pytest.raises(SealiftError, match=r"^index\.json: "):
            signature.verify(content, proof, site.allowed)
