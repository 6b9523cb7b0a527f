"""Foreign tarballs and model files: read what is good, refuse what is not, write nothing."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from sealift.blobs import Content, digest_of
from sealift.errors import SealiftError
from sealift.release.gguf import read_context_cost
from sealift.release.locked import Shape, Vision
from sealift.release.oci import INDEX_TYPES, MANIFEST_TYPES
from sealift.release.ollama_archive import model_manifest
from sealift.release.sources import image_source
from sealift.release.tarball import Tarball
from sealift.release.types import Image, Model
from tests.unit import samples
from tests.unit.samples import lock_image, lock_model

IMAGE = Image(name=samples.IMAGE, archive="image.tar")
MODEL = Model(archive="model.tar")


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
    source = image_source(IMAGE, samples.machine(tmp_path))
    opened = [b"".join(source.open(plain, blob).chunks()) for blob in plain.layers]
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


@pytest.mark.parametrize("root", ["", "models/"])
def test_a_model_is_locked_without_local_paths(tmp_path: Path, root: str) -> None:
    samples.tar(tmp_path / "model.tar", samples.ollama_files(samples.gguf(samples.GEMMA), root))
    locked = lock_model(samples.MODEL, MODEL, tmp_path)
    manifest = model_manifest(locked)
    assert digest_of(manifest) == locked.manifest
    assert b"somebody" not in manifest
    assert len(json.loads(manifest)["layers"]) == 2
    assert (locked.shape.kv_bytes_per_token, locked.context_length) == (2 * 18 * 1 * 512, 32768)
    assert locked.weights == len(samples.gguf(samples.GEMMA))


def test_a_store_is_the_same_as_folder_and_as_tarball(tmp_path: Path) -> None:
    files = samples.ollama_files(samples.gguf(samples.GEMMA))
    samples.tar(tmp_path / "model.tar", files)
    (tmp_path / "model.tar.zst").write_bytes(zstandard.compress((tmp_path / "model.tar").read_bytes()))
    for name, content in files.items():
        path = tmp_path / "elsewhere" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "store").symlink_to("elsewhere")
    found = [
        lock_model(samples.MODEL, model, tmp_path).model_copy(update={"archive": None})
        for model in (MODEL, Model(archive="model.tar.zst"), Model(store="store"))
    ]
    assert found[0] == found[1] == found[2]
    with pytest.raises(SealiftError, match="has no model llama3:8b"):
        lock_model("llama3:8b", Model(store="store"), tmp_path)


def test_a_damaged_model_blob_is_named(tmp_path: Path) -> None:
    files = samples.ollama_files(samples.gguf(samples.GEMMA))
    name = max(files, key=lambda key: len(files[key]))
    files[name] = files[name][:-1] + b"\xff"
    samples.tar(tmp_path / "model.tar", files)
    with pytest.raises(SealiftError, match=rf"{name.rpartition('-')[2]} is damaged"):
        lock_model(samples.MODEL, MODEL, tmp_path)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    samples.tar(tmp_path / "model.tar", samples.ollama_files(b"GGUF"))
    with pytest.raises(SealiftError, match="has no model llama3:8b"):
        lock_model("llama3:8b", MODEL, tmp_path)


def _cost(tmp_path: Path, content: bytes) -> tuple[int, int]:
    (tmp_path / "model.gguf").write_bytes(content)
    cost = read_context_cost(Content.of_file(tmp_path / "model.gguf"), "model.gguf")
    return cost.shape.kv_bytes_per_token, cost.context_length


def test_context_costs_of_models_that_say_less_or_say_it_per_layer(tmp_path: Path) -> None:
    plain = {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.context_length": 2048,
        "llama.embedding_length": 512,
        "llama.attention.head_count": 8,
    }
    assert _cost(tmp_path, samples.gguf(plain)) == (2 * 2 * 8 * 128, 2048)
    per_layer = {**plain, "llama.attention.head_count_kv": [4, 2]}
    assert _cost(tmp_path, samples.gguf(per_layer, version=2)) == (2 * 6 * 128, 2048)


def _shape(tmp_path: Path, keys: dict[str, Any], tensors: tuple[str, ...] = (), kind: int = 0) -> Shape:
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(tensors, (640, 3))
    (tmp_path / "model.gguf").write_bytes(samples.gguf(keys, tensors=shapes, tensor_type=kind))
    return read_context_cost(Content.of_file(tmp_path / "model.gguf"), "model.gguf").shape


def test_the_header_says_what_decides_over_memory(tmp_path: Path) -> None:
    shape = _shape(tmp_path, samples.GEMMA, ("token_embd.weight", "output_norm.weight"), kind=8)
    assert shape == Shape(
        architecture="gemma3",
        layers=18,
        heads=4,
        heads_per_kv_head=4,
        width=640,
        vocabulary=3,
        kv_bytes_per_token=2 * 18 * 512,
        quantizes_cache=True,
        embedding=640 * 3 // 32 * 34,  # Q8_0: 32 elements in 34 bytes
        tied=True,
    )
    own = _shape(tmp_path, samples.GEMMA, ("token_embd.weight", "output.weight"), kind=1)
    assert (own.embedding, own.tied) == (640 * 3 * 2, False)


@pytest.mark.parametrize("more", [{"gemma3.pooling_type": 1}, {"gemma3.attention.value_length": 128}])
def test_a_cache_that_ollama_does_not_quantize_is_known(tmp_path: Path, more: dict[str, int]) -> None:
    assert _shape(tmp_path, samples.GEMMA).quantizes_cache
    assert not _shape(tmp_path, {**samples.GEMMA, **more}).quantizes_cache


def test_an_image_encoder_is_known(tmp_path: Path) -> None:
    assert _shape(tmp_path, samples.GEMMA).vision is None
    seen = {
        "gemma3.vision.block_count": 27,
        "gemma3.vision.image_size": 896,
        "gemma3.vision.patch_size": 14,
        "gemma3.vision.embedding_length": 1152,
        "gemma3.vision.attention.head_count": 16,
    }
    assert _shape(tmp_path, {**samples.GEMMA, **seen}).vision == Vision(
        image=896, patch=14, width=1152, heads=16
    )


def test_every_truncation_of_a_gguf_header_is_refused(tmp_path: Path) -> None:
    whole = samples.gguf(samples.GEMMA, tensors={"token_embd.weight": (640, 3)})
    for length in range(0, len(whole), 37):
        with pytest.raises(SealiftError, match=r"ends within its header"):
            _cost(tmp_path, whole[:length])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GGML" + bytes(100), "is no GGUF file"),
        (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "GGUF version 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), "keys"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 60), "part of"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 8, 1 << 62), "part of"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 99), "value of type 99"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "expected a number"),
        (samples.gguf({**samples.GEMMA, "gemma3.block_count": 5000}), "block_count is 5000, expected"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "tensors"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 1, 0, 1, b"t", 99), "a tensor of 99 dimensions"),
        (b"GGUF" + struct.pack("<IQQQ1sI2Q", 3, 1, 0, 1, b"t", 2, 1 << 62, 4), "elements"),
    ],
)
def test_a_gguf_that_lies_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(SealiftError, match=message):
        _cost(tmp_path, content)
