"""Foreign tarballs, of images above all: read what is good, refuse what is not, write nothing."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from sealift.content import digest_of
from sealift.errors import SealiftError
from sealift.oci.manifest import INDEX_TYPES, MANIFEST_TYPES
from sealift.oci.tarball import Tarball
from sealift.release.types import Image
from sealift.sources.kinds import image_source
from tests.unit import samples
from tests.unit.samples import lock_image

IMAGE = Image(name=samples.IMAGE, archive="image.tar")


def _with_member(path: Path, change: Callable[[tarfile.TarInfo], None], content: bytes = b"x") -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo("good")
        info.size = len(content)
        change(info)
        archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tarball_is_read_as_tarfile_wrote_it(tmp_path: Path, form: int) -> None:
    files = {"a": b"1" * 1000, "d/" + "n" * 90 + "/" + "m" * 90: b"long", "e": b""}
    with tarfile.open(tmp_path / "t.tar", "w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    found = Tarball(tmp_path / "t.tar")
    assert {name: found.read(name, 2000) for name in found.names()} == files


@pytest.mark.parametrize("name", ["../up", "/root", "a/../../up"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    path = _with_member(tmp_path / "t.tar", lambda info: setattr(info, "name", name))
    with pytest.raises(SealiftError, match="leads out of it"):
        Tarball(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_that_leads_out_is_refused(tmp_path: Path, kind: bytes) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = kind, "../../etc/shadow", 0

    with pytest.raises(SealiftError, match="leads out of it"):
        Tarball(_with_member(tmp_path / "t.tar", change, b""))


def test_links_in_a_circle_lead_nowhere(tmp_path: Path) -> None:
    samples.tar(tmp_path / "t.tar", {}, {"a": "b", "b": "a"})
    with pytest.raises(SealiftError, match="has no file a"):
        Tarball(tmp_path / "t.tar").find("a")


def test_a_device_is_refused(tmp_path: Path) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.size = tarfile.CHRTYPE, 0

    with pytest.raises(SealiftError, match="neither file, folder nor link"):
        Tarball(_with_member(tmp_path / "t.tar", change, b""))


def test_sizes_beyond_the_file_are_refused(tmp_path: Path) -> None:
    path = _with_member(tmp_path / "t.tar", lambda _: None)
    header = bytearray(path.read_bytes()[:512])
    for size in (b"77777777777\0", b"\x80" + b"\0" * 4 + b"\x7f" * 7):
        header[124:136] = size
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        path.write_bytes(bytes(header) + bytes(2048))
        with pytest.raises(SealiftError, match="ends in the middle of 'good'"):
            Tarball(path)


def test_a_huge_extension_record_is_not_read(tmp_path: Path) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type = b"x"

    path = _with_member(tmp_path / "t.tar", change, bytes(2 << 20))
    with pytest.raises(SealiftError, match="extension record of 2097152 bytes"):
        Tarball(path)


def test_every_truncation_of_a_tarball_is_refused(tmp_path: Path) -> None:
    samples.tar(tmp_path / "whole.tar", {"a": b"1" * 700, "b": b"2"})
    whole = (tmp_path / "whole.tar").read_bytes()
    for length in range(0, 512 * 5, 64):
        (tmp_path / "t.tar").write_bytes(whole[:length])
        with pytest.raises(SealiftError, match=r"ends early|ends in the middle"):
            Tarball(tmp_path / "t.tar")


@pytest.mark.parametrize("content", [lzma.compress(b"x"), bz2.compress(b"x")])
def test_a_tarball_of_another_compression_is_refused_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.tar").write_bytes(content)
    with pytest.raises(
        SealiftError, match=r"is compressed with \w+, expected gzip, zstd or none. Uncompress it."
    ):
        Tarball(tmp_path / "t.tar")


def test_an_image_is_locked_with_its_id_and_layers(tmp_path: Path) -> None:
    layers = [samples.layer(b"one"), samples.layer(b"two")]
    files = samples.docker_files(layers)
    samples.tar(tmp_path / "image.tar", files)
    locked = lock_image(IMAGE, tmp_path)
    config = next(content for name, content in files.items() if name.endswith(".json") and len(name) > 60)
    assert locked.image_id == digest_of(config).digest
    assert locked.layers == tuple(map(digest_of, layers))


def test_a_layer_saved_as_a_link_to_another_is_followed(tmp_path: Path) -> None:
    layer = samples.layer(b"one")
    files = samples.docker_files([layer, layer])
    del files["l1/layer.tar"]
    samples.tar(tmp_path / "image.tar", files, {"l1/layer.tar": "../l0/layer.tar"})
    assert lock_image(IMAGE, tmp_path).layers == (digest_of(layer),) * 2


def test_a_layer_that_is_not_what_the_config_says_is_named(tmp_path: Path) -> None:
    files = samples.docker_files([samples.layer(b"one"), samples.layer(b"two")])
    files["l1/layer.tar"] = samples.layer(b"TWO")
    samples.tar(tmp_path / "image.tar", files)
    with pytest.raises(SealiftError, match="layer 2: is sha256:"):
        lock_image(IMAGE, tmp_path)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_compression_changes_nothing_about_an_image(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    layers = [samples.layer(b"one"), samples.layer(b"two")]
    files = samples.docker_files(layers)
    samples.tar(tmp_path / "image.tar", files)
    plain = lock_image(IMAGE, tmp_path)
    (tmp_path / "image.tar").write_bytes(compress((tmp_path / "image.tar").read_bytes()))
    assert lock_image(IMAGE, tmp_path) == plain
    files["l1/layer.tar"] = compress(layers[1])
    samples.tar(tmp_path / "image.tar", files)
    assert lock_image(IMAGE, tmp_path) == plain
    find = image_source(IMAGE, samples.machine(tmp_path)).open(plain)
    opened = [b"".join(find(blob).chunks()) for blob in plain.layers]
    assert opened == layers


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_damaged_compression_is_refused_and_nothing_is_kept(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    files = samples.docker_files([samples.layer(bytes(range(256)) * 100)])
    whole = compress(files["l0/layer.tar"])
    for length in range(8, len(whole), 41):
        files["l0/layer.tar"] = whole[:length]
        samples.tar(tmp_path / "image.tar", files)
        with pytest.raises(SealiftError, match=r"layer 1: is (damaged|sha256:)"):
            lock_image(IMAGE, tmp_path)
    assert list((tmp_path / "cache/blobs/sha256").iterdir()) == []


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_a_decompression_bomb_is_refused(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    files = samples.docker_files([samples.layer(b"one")])
    files["l0/layer.tar"] = compress(bytes(200 << 20))
    samples.tar(tmp_path / "image.tar", files)
    with pytest.raises(SealiftError, match=r"layer 1: grows to more than 200 times its \d+ bytes"):
        lock_image(IMAGE, tmp_path)


def _oci_files(layers: list[bytes], platforms: tuple[str, ...] = ("amd64",)) -> dict[str, bytes]:
    """An OCI layout with gzipped layers and an image per architecture, which share them."""
    files, entries = {}, []

    def add(content: bytes, media_type: str, **more: object) -> dict[str, object]:
        blob = digest_of(content)
        files[f"blobs/sha256/{blob.hex}"] = content
        return {"mediaType": media_type, "digest": blob.digest, "size": blob.size, **more}

    for architecture in platforms:
        diff_ids = [digest_of(layer).digest for layer in layers]
        config = {"architecture": architecture, "os": "linux", "rootfs": {"diff_ids": diff_ids}}
        manifest = {
            "schemaVersion": 2,
            "config": add(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
            "layers": [
                add(gzip.compress(layer, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
                for layer in layers
            ],
        }
        platform = {"os": "linux", "architecture": architecture}
        entries.append(add(json.dumps(manifest).encode(), MANIFEST_TYPES[0], platform=platform))
    inner = add(json.dumps({"schemaVersion": 2, "manifests": entries}).encode(), INDEX_TYPES[0])
    index = json.dumps({"schemaVersion": 2, "manifests": [inner]}).encode()
    return {**files, "index.json": index, "oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}


def test_an_oci_layout_gives_the_image_of_our_platform(tmp_path: Path) -> None:
    layers = [samples.layer(b"one"), samples.layer(b"two")]
    samples.tar(tmp_path / "image.tar", _oci_files(layers, ("arm64", "amd64")))
    assert lock_image(IMAGE, tmp_path).layers == tuple(map(digest_of, layers))
    samples.tar(tmp_path / "image.tar", _oci_files(layers, ("arm64", "s390x")))
    with pytest.raises(SealiftError, match="for linux/amd64 once, it has linux/arm64, linux/s390x"):
        lock_image(IMAGE, tmp_path)


@pytest.mark.parametrize("tag", [samples.IMAGE, "ollama/ollama:0.11.4"])
def test_an_image_is_found_among_several_by_either_of_its_names(tmp_path: Path, tag: str) -> None:
    first, second = samples.docker_files([b"one"], samples.GATEWAY), samples.docker_files([b"two"], tag)
    second["l2/layer.tar"] = second.pop("l0/layer.tar")
    manifest = json.loads(first["manifest.json"]) + json.loads(second["manifest.json"])
    manifest[1]["Layers"] = ["l2/layer.tar"]
    samples.tar(tmp_path / "image.tar", {**first, **second, "manifest.json": json.dumps(manifest).encode()})
    assert lock_image(IMAGE, tmp_path).layers == (digest_of(b"two"),)


def test_an_only_image_is_taken_by_its_name_or_without_any(tmp_path: Path) -> None:
    files = samples.docker_files([b"one"], "docker.io/ollama/ollama:0.12.0")
    samples.tar(tmp_path / "image.tar", files)
    with pytest.raises(
        SealiftError,
        match=r"has docker.io/ollama/ollama:0.12.0, expected docker.io/ollama/ollama:0.11.4 once. Save that",
    ):
        lock_image(IMAGE, tmp_path)
    untagged: list[list[str] | None] = [None, []]
    for tags in untagged:
        (manifest,) = json.loads(files["manifest.json"])
        without = json.dumps([{**manifest, "RepoTags": tags}]).encode()
        samples.tar(tmp_path / "image.tar", {**files, "manifest.json": without})
        assert lock_image(IMAGE, tmp_path).layers == (digest_of(b"one"),)


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [
        ("io.containerd.image.name", samples.IMAGE, True),
        ("io.containerd.image.name", samples.GATEWAY, False),
        ("org.opencontainers.image.ref.name", "0.11.4", True),
        ("org.opencontainers.image.ref.name", samples.IMAGE, True),
        ("org.opencontainers.image.ref.name", "0.12.0", False),
        ("org.opencontainers.image.title", "anything", True),
    ],
)
def test_a_layouts_only_image_is_taken_by_its_name_or_without_any(
    tmp_path: Path, key: str, value: str, taken: bool
) -> None:
    files = _oci_files([b"one"])
    index = json.loads(files["index.json"])
    index["manifests"][0]["annotations"] = {key: value}
    samples.tar(tmp_path / "image.tar", {**files, "index.json": json.dumps(index).encode()})
    if taken:
        assert lock_image(IMAGE, tmp_path).layers == (digest_of(b"one"),)
    else:
        with pytest.raises(SealiftError, match=f"has {value}, expected {samples.IMAGE}. Save that image"):
            lock_image(IMAGE, tmp_path)


@pytest.mark.parametrize("manifest", [b"", b"{}", b"7", b"[]", b"[7]", b'[{"Config": 1}]', b"[" * 100_000])
def test_a_manifest_that_is_not_dockers_is_refused(tmp_path: Path, manifest: bytes) -> None:
    samples.tar(tmp_path / "image.tar", {"manifest.json": manifest})
    with pytest.raises(SealiftError, match=r"manifest\.json"):
        lock_image(IMAGE, tmp_path)
