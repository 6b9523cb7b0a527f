"""The demo release's real image and model, out of every form that they may have on a build machine."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from sealift.release.locked import LockedImage
from sealift.release.types import Image, Model
from sealift.sources.kinds import image_source, model_source
from tests.lab.commands import CHECKOUT, Commands
from tests.unit import samples

NAME, MODEL = "localhost/sealift/ollama:0.11.4", "gemma3:270m"


@pytest.fixture(scope="module")
def ingredients() -> Path:
    """The ingredients of the demo release, made or out of the cache."""
    folder = CHECKOUT / "build/ingredients"
    Commands(CHECKOUT / ".lab").ok("python", "-m", "demo.ingredients", folder)
    return folder


def _image(sources: Path, archive: str, cache: Path) -> LockedImage:
    machine = samples.machine(sources, {"SEALIFT_CACHE": str(cache)})
    return image_source(Image(name=NAME, archive=archive), machine).lock()


def test_a_real_image_is_the_same_in_every_form(ingredients: Path, tmp_path: Path) -> None:
    classic = ingredients / "ollama-0.11.4.tar"
    expected = _image(ingredients, classic.name, tmp_path / "cache")
    layout = f"oci-archive:{tmp_path}/oci.tar:{NAME}"
    subprocess.run(
        ["skopeo", "copy", "--quiet", "--insecure-policy", f"docker-archive:{classic}", layout], check=True
    )
    subprocess.run(["zstd", "-q", "-1", str(classic), "-o", str(tmp_path / "zstd.tar.zst")], check=True)
    with classic.open("rb") as plain, gzip.open(tmp_path / "gzip.tar.gz", "wb", 1) as packed:
        shutil.copyfileobj(plain, packed)
    for name in ("gzip.tar.gz", "zstd.tar.zst"):
        found = _image(tmp_path, name, tmp_path / "cache")
        assert (found.config, found.layers) == (expected.config, expected.layers)
    # skopeo writes the config anew to make it OCI's, and compresses the layers
    assert _image(tmp_path, "oci.tar", tmp_path / "cache").layers == expected.layers


def test_a_real_store_is_the_same_as_folder_and_as_tarball(ingredients: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    tarball = ingredients / "gemma3-270m.tar"
    subprocess.run(["tar", "-xf", str(tarball), "-C", str(tmp_path / "store")], check=True)
    machine = samples.machine(ingredients, {"SEALIFT_CACHE": str(tmp_path / "cache")})
    expected = model_source(MODEL, Model(archive=tarball.name), machine).lock()
    found = samples.lock_model(MODEL, Model(store="store"), tmp_path)
    assert found == expected.model_copy(update={"archive": "store"})
