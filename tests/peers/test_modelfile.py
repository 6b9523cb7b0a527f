"""Models made of a GGUF file and a Modelfile, beside those that the real Ollama makes of the same."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.blobs import BlobStore
from sealift.errors import SealiftError
from sealift.release.locked_model import LockedModel
from sealift.release.ollama_manifest import manifest_path, model_manifest
from sealift.release.types import Model
from sealift.sources.kinds import model_source
from tests.lab.commands import CHECKOUT, Commands
from tests.peers import ollama
from tests.peers.ollama import Ollama
from tests.unit import samples

NAME = "site-gemma:270m"
DEMO = CHECKOUT / "demo/gemma3-270m.Modelfile"
# Everything that Ollama's parser and Go's JSON do in ways of their own.
QUIRKS = """
# a comment
from weights.gguf
system \t  first, which the second one replaces
SYSTEM "two
lines"  \t
TEMPLATE \"\"\"{{ if .System }}<start_of_turn>{{ .System }}{{ end }}
{{ .Prompt }} & \u2028 "quoted" \N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}\N{GREEK SMALL LETTER ALPHA}\"\"\"
LICENSE one
LICENSE \"\"\"
two, with a \x0cform feed
\"\"\"
LICENSE ""
PARAMETER stop <end_of_turn>
PARAMETER stop "
"
PARAMETER temperature 0.7
PARAMETER top_p 1e-7
PARAMETER min_p 0.123456789
PARAMETER repeat_penalty 16777217
PARAMETER typical_p 1
PARAMETER seed -42
PARAMETER num_ctx 123456789012345678
PARAMETER num_ctx +2048
PARAMETER use_mmap T
PARAMETER mirostat 2
message user a <b> & "c" \\ d
MESSAGE assistant \"\"\"e
\tf\"\"\"
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sources folder with the demo release's weights."""
    folder = tmp_path_factory.mktemp("sources")
    ingredients = CHECKOUT / "build/ingredients"
    Commands(CHECKOUT / ".lab").ok("python", "-m", "demo.ingredients", ingredients)
    with tarfile.open(ingredients / "gemma3-270m.tar") as store:
        biggest = max(store.getmembers(), key=lambda member: member.size)
        weights = store.extractfile(biggest)
        assert weights is not None
        with (folder / "weights.gguf").open("wb") as file:
            shutil.copyfileobj(weights, file)
    return folder


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ollama]:
    folder = tmp_path_factory.mktemp("ollama")
    with ollama.serving(
        ollama.program(CHECKOUT / "build/ingredients/ollama-0.11.4.tar", folder), folder
    ) as running:
        yield running


def _lock(sources: Path) -> LockedModel:
    return samples.lock_model(NAME, Model(modelfile="Modelfile"), sources)


def _theirs(real: Ollama, sources: Path) -> LockedModel:
    """What Ollama made of the Modelfile, as we lock it out of Ollama's store."""
    made = real.create(NAME, sources / "Modelfile")
    assert made.returncode == 0, made.stderr
    store = Path(real.environment["OLLAMA_MODELS"])
    return samples.lock_model(NAME, Model(store=store.name), store.parent)


@pytest.mark.parametrize("text", [f"FROM weights.gguf\n{DEMO.read_text()}", QUIRKS, "FROM ./weights.gguf"])
def test_a_model_is_digest_by_digest_what_the_real_ollama_makes(
    sources: Path, real: Ollama, text: str
) -> None:
    (sources / "Modelfile").write_text(text)
    ours, theirs = _lock(sources), _theirs(real, sources)
    assert [layer.media_type for layer in ours.layers] == [layer.media_type for layer in theirs.layers]
    for mine, other in zip((*ours.layers, ours.config), (*theirs.layers, theirs.config), strict=True):
        assert mine == other, mine.media_type
    assert ours == theirs.model_copy(update={"archive": "Modelfile"})


def test_the_manifest_differs_by_the_path_of_the_machine_alone(sources: Path, real: Ollama) -> None:
    (sources / "Modelfile").write_text("FROM weights.gguf\nSYSTEM Be brief.\n")
    ours = json.loads(model_manifest(_lock(sources)))
    _theirs(real, sources)
    path = Path(real.environment["OLLAMA_MODELS"]) / "manifests" / manifest_path(NAME)
    theirs = json.loads(path.read_bytes())
    assert "/blobs/" in theirs["layers"][0].pop("from")
    assert ours == theirs


@pytest.mark.parametrize(
    "text",
    [
        *("", "FROM", "FROM weights.gguf\nPULL x", "FROM weights.gguf\nSYSTEM"),
        *(
            'FROM weights.gguf\nSYSTEM "',
            'FROM weights.gguf\nSYSTEM """',
            "FROM weights.gguf\nMESSAGE tool x",
        ),
        "FROM weights.gguf\nPARAMETER  temperature 1",
        "FROM weights.gguf\nPARAMETER temprature 1",
        "FROM weights.gguf\nPARAMETER temperature warm",
        "FROM weights.gguf\nPARAMETER num_ctx 1.5",
        "FROM weights.gguf\nPARAMETER use_mmap yes",
        "FROM weights.gguf\nADAPTER no-such.gguf",
    ],
)
def test_what_the_real_ollama_refuses_is_refused(sources: Path, real: Ollama, text: str) -> None:
    (sources / "Modelfile").write_text(text)
    assert real.create(NAME, sources / "Modelfile").returncode != 0
    with pytest.raises(SealiftError, match="Modelfile: "):
        _lock(sources)


def test_a_model_made_without_ollama_answers_in_the_real_one(
    sources: Path, real: Ollama, tmp_path: Path
) -> None:
    (sources / "Modelfile").write_text(f"FROM weights.gguf\n{DEMO.read_text()}")
    locked = _lock(sources)
    find = model_source(NAME, Model(modelfile="Modelfile"), samples.machine(sources)).open(locked)
    store = BlobStore(tmp_path / "bundle")
    for blob in locked.blobs:
        store.put(blob, find(blob), NAME, lambda _: None)
    models = tmp_path / "ollama/models"
    (models / "blobs").mkdir(parents=True)
    for blob in locked.blobs:
        os.link(store.path(blob), models / "blobs" / f"sha256-{blob.hex}")
    manifest = models / "manifests" / manifest_path(NAME)
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(model_manifest(locked))
    with ollama.serving(real.program, tmp_path / "ollama") as fresh:
        shown = fresh.ask("/api/show", model=NAME)
        question = [{"role": "user", "content": "What is the capital of France?"}]
        answer = fresh.ask("/api/chat", model=NAME, messages=question)
    assert shown["details"]["family"] == "gemma3"
    assert shown["details"]["parameter_size"] == "268.10M"
    assert shown["details"]["quantization_level"] == "Q4_K_M"
    assert "Paris" in answer["message"]["content"]
