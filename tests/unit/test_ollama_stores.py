"""Models out of Ollama stores, folders and tarballs: read what is good, refuse what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zstandard

from sealift.content import digest_of
from sealift.errors import SealiftError
from sealift.release.ollama_manifest import model_manifest
from sealift.release.types import Model
from tests.unit import samples
from tests.unit.samples import lock_model

MODEL = Model(archive="model.tar")


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
