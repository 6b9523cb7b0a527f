"""A compressed tarball is unpacked once, into the cache; what rots there is not pinned."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from sealift.content import digest_of
from sealift.errors import SealiftError
from sealift.progress import Progress
from sealift.release.locked import LockedImage
from sealift.release.locked_model import LockedModel
from sealift.release.types import Image, Model
from sealift.sources.arrivals import Arrivals
from sealift.sources.kinds import image_source, model_source
from sealift.sources.source import BuildMachine
from tests.unit import samples

IMAGE, MODEL = Image(name=samples.IMAGE, archive="image.tar"), Model(archive="model.tar")


@pytest.fixture
def tarballs(tmp_path: Path) -> dict[str, bytes]:
    """What comes out of an image's and a model's tarball, each compressed."""
    samples.tar(tmp_path / "image.tar", samples.docker_files([samples.layer(b"one"), samples.layer(b"two")]))
    samples.tar(tmp_path / "model.tar", samples.ollama_files(samples.gguf(samples.GEMMA)))
    plain = {path.name: path.read_bytes() for path in tmp_path.glob("*.tar")}
    for name, content in plain.items():
        (tmp_path / name).write_bytes(gzip.compress(content))
    return plain


def _locked(folder: Path) -> tuple[LockedImage, LockedModel]:
    return samples.lock_image(IMAGE, folder), samples.lock_model(samples.MODEL, MODEL, folder)


def _rot(folder: Path, plain: bytes, right: bytes, wrong: bytes) -> None:
    """In the cache."""
    cached = folder / "cache/blobs/sha256" / digest_of(plain).hex
    assert plain.count(right) == 1 and cached.read_bytes() == plain
    cached.chmod(0o644)
    cached.write_bytes(plain.replace(right, wrong))


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("image.tar", b'"os": "linux"', b'"os":"linux" '),
        ("image.tar", b'"RepoTags": ["docker.io', b'"RepoTags": ["Docker.io'),
        ("model.tar", b'"mediaType": "application/vnd.ollama.image.license"', b'"mediaType": "x"'),
    ],
)
def test_what_rotted_in_the_cache_is_unpacked_again_before_it_is_pinned(
    tarballs: dict[str, bytes], tmp_path: Path, name: str, right: bytes, wrong: bytes
) -> None:
    before = _locked(tmp_path)
    _rot(tmp_path, tarballs[name], right, wrong)
    assert _locked(tmp_path) == before
    assert (tmp_path / "cache/blobs/sha256" / digest_of(tarballs[name]).hex).read_bytes() == tarballs[name]


@pytest.mark.parametrize(
    "content", [b"", b"sha256:", bytes(71), b"\xff" * 71, f"sha256:{'0' * 64}".encode(), b"x" * 9999]
)
def test_a_record_that_rotted_is_made_again(
    tarballs: dict[str, bytes], tmp_path: Path, content: bytes
) -> None:
    before = _locked(tmp_path)
    records = list((tmp_path / "cache/tarballs").iterdir())
    written = [record.read_bytes() for record in records]
    assert sorted(written) == sorted(digest_of(plain).digest.encode() for plain in tarballs.values())
    for record in records:
        record.chmod(0o644)
        record.write_bytes(content)
    assert _locked(tmp_path) == before
    assert [record.read_bytes() for record in records] == written


def test_only_a_lock_hashes_what_was_unpacked_earlier(tarballs: dict[str, bytes], tmp_path: Path) -> None:
    """A build verifies what it takes out of it anyway."""
    image, model = _locked(tmp_path)
    told: set[str] = set()

    def progress(what: str, done: int, total: int) -> None:
        told.add(what)

    machine = _machine(tmp_path, progress)
    images, models = image_source(IMAGE, machine), model_source(samples.MODEL, MODEL, machine)
    find = images.open(image)
    for blob in (image.config, *image.layers):
        find(blob)
    find = models.open(model)
    for blob in model.blobs:
        find(blob)
    unpacked = {f"hashing {digest_of(plain).digest[:19]}, which is there" for plain in tarballs.values()}
    assert told == {"hashing image.tar", "hashing model.tar"}
    images.lock()
    models.lock()
    assert unpacked < told


def _machine(folder: Path, progress: Progress) -> BuildMachine:
    return BuildMachine(folder, Arrivals(folder / "cache"), progress, {})


@pytest.mark.parametrize("name", ["{}.json", "blobs/sha256/{}", "sha256:{}"])
def test_a_config_that_is_not_what_its_name_says_is_damaged(tmp_path: Path, name: str) -> None:
    files = samples.docker_files([samples.layer(b"one")])
    old = next(path for path in files if len(path) > 60)
    new = name.format(old.removesuffix(".json"))
    files = {
        path.replace(old, new): content.replace(old.encode(), new.encode()) for path, content in files.items()
    }
    samples.tar(tmp_path / "image.tar", files)
    whole = samples.lock_image(IMAGE, tmp_path)
    assert whole.config.hex in new
    files[new] = files[new].replace(b'"os": "linux"', b'"os":"linux" ')
    samples.tar(tmp_path / "image.tar", files)
    with pytest.raises(SealiftError, match=r"image.tar: .*[0-9a-f]{64}(.json)?: is damaged. Save the image"):
        samples.lock_image(IMAGE, tmp_path)


def test_a_compressed_layer_that_rotted_in_the_cache_is_unpacked_again(tmp_path: Path) -> None:
    layer = samples.layer(b"one")
    files = samples.docker_files([layer])
    samples.tar(tmp_path / "image.tar", {**files, "l0/layer.tar": gzip.compress(layer)})
    before = samples.lock_image(IMAGE, tmp_path)
    cached = tmp_path / "cache/blobs/sha256" / digest_of(layer).hex
    cached.chmod(0o644)
    cached.write_bytes(layer[:-1])
    assert samples.lock_image(IMAGE, tmp_path) == before
    assert before.layers[0].size == len(layer)
    assert cached.read_bytes() == layer
