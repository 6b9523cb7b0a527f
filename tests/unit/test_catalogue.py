"""The model catalogue: every figure has a source, memory as preflight reckons it, names that do not exist."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

from sealift.cli.main import application
from sealift.errors import SealiftError
from sealift.host.model_fit import Room, needs
from sealift.host.settings import OllamaSettings
from sealift.release import catalogue as module
from sealift.release.catalogue import Catalogue, catalogue, find, nearest, no_such_tag, oldest_ollama
from sealift.release.locked_model import ModelLayer
from sealift.release.parse import load_release
from sealift.sources.resolve import _models_that_are_too_new
from tests.unit import samples
from tests.unit.fleet_site import lock
from tests.unit.test_release_file import GOOD

GIB = 1 << 30
WANTED = {
    "gemma3n": {"e2b", "e4b"},
    "gemma3": {"270m", "1b", "4b", "12b", "27b"},
    "qwen2.5": {"3b", "7b"},
    "llama3.2": {"1b", "3b"},
    "bge-m3": {"567m"},
    "nomic-embed-text": {"v1.5"},
}


def _raw() -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    text = Path(module.__file__).with_suffix(".yaml").read_text()
    raw: dict[str, dict[str, dict[str, dict[str, str]]]] = yaml.safe_load(text)
    return raw


def test_the_catalogue_has_every_model_that_was_asked_for() -> None:
    have: dict[str, set[str]] = {}
    for name in catalogue().models:
        family, _, tag = name.partition(":")
        have.setdefault(family, set()).add(tag)
    assert have == WANTED


def test_a_figure_without_a_source_is_refused() -> None:
    raw = _raw()
    Catalogue.model_validate(raw)
    del raw["models"]["gemma3:4b"]["sources"]["size"]
    with pytest.raises(ValidationError, match=r"gemma3:4b: sources differ from figures: \{'size'\}"):
        Catalogue.model_validate(raw)


def test_every_source_and_licence_is_used() -> None:
    models = catalogue().models.values()
    assert {source for model in models for source in model.sources.values()} == catalogue().sources.keys()
    assert {model.licence for model in models} == catalogue().licences.keys()


# Worked out by hand from the published figures: layers * KV heads * (key + value) * 2 bytes.
@pytest.mark.parametrize(
    ("name", "bytes_per_token"),
    [
        ("gemma3:270m", 18432),  # as the demo's GGUF has it
        ("gemma3:4b", 34 * 4 * 512 * 2),
        ("llama3.2:3b", 28 * 8 * 256 * 2),
        ("nomic-embed-text:v1.5", 12 * 12 * 128 * 2),
    ],
)
def test_bytes_of_a_token(name: str, bytes_per_token: int) -> None:
    assert catalogue().models[name].attention.bytes_per_token == bytes_per_token


def test_catalogue_and_preflight_agree() -> None:
    model = catalogue().models["gemma3:270m"]
    site = lock()
    ((name, locked),) = site.models.items()
    same = locked.model_copy(
        update={
            "layers": (
                ModelLayer(
                    digest=locked.config.digest,
                    size=model.size,
                    media_type="application/vnd.ollama.image.model",
                ),
            ),
            "context_length": model.context_length,
            "shape": model.shape,
        }
    )
    settings = OllamaSettings(context_length=8192, num_parallel=2)
    (need,) = needs(site.model_copy(update={"models": {name: same}}), settings, Room(16 * GIB))
    assert model.memory(8192, 2).total == need.memory.total


def test_context_is_never_longer_than_the_model_was_trained_for() -> None:
    model = catalogue().models["nomic-embed-text:v1.5"]
    assert model.memory(32768, 1) == model.memory(2048, 1)
    assert model.memory(2048, 2).kv_cache == 2 * model.memory(2048, 1).kv_cache


def test_a_window_costs_less_only_where_contexts_are_longer() -> None:
    model = catalogue().models["gemma3:12b"]
    whole, windowed = model.memory(32768, 1).kv_cache, model.windowed(32768, 1)
    per_layer = 8 * 512 * 2
    assert windowed == per_layer * (8 * 32768 + 40 * (1024 + 512))
    assert windowed < whole / 4
    assert model.windowed(1024, 1) == model.memory(1024, 1).kv_cache
    assert catalogue().models["qwen2.5:7b"].windowed(32768, 1) is None


@pytest.mark.parametrize(
    ("name", "context", "parallel", "limit", "fits"),
    [
        ("gemma3:270m", 2048, 1, 2 * GIB, True),
        ("gemma3:4b", 8192, 1, 8 * GIB, True),
        ("gemma3:4b", 8192, 8, 8 * GIB, False),
        ("gemma3:27b", 8192, 1, 24 * GIB, True),
        ("gemma3:27b", 8192, 1, 16 * GIB, False),
        ("qwen2.5:7b", 4096, 1, 8 * GIB, True),
        ("qwen2.5:7b", 4096, 1, 5 * GIB, False),
        # 64 requests of 32768 tokens: nothing of the kind runs in 16 GiB
        ("llama3.2:1b", 32768, 64, 16 * GIB, False),
    ],
)
def test_fits(name: str, context: int, parallel: int, limit: int, fits: bool) -> None:
    assert (catalogue().models[name].memory(context, parallel).total <= limit) is fits


def test_what_sees_images_needs_memory_to_look_at_them() -> None:
    for model in catalogue().models.values():
        assert (model.memory(4096, 1).images > 0) is ("images" in model.modalities)
    assert catalogue().models["gemma3n:e4b"].modalities == ("text",)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("llama3.2:8b", ["llama3.2:3b", "llama3.2:1b"]),
        ("gemma3:8b", ["gemma3:4b", "gemma3:1b", "gemma3:27b"]),
        ("lama3.2:3b", ["llama3.2:3b", "llama3.2:1b"]),
        ("our-own:1", []),
    ],
)
def test_nearest_names(name: str, found: list[str]) -> None:
    assert list(nearest(name)) == found


@pytest.mark.parametrize(
    ("name", "real"),
    [
        ("llama3.2:8b", False),
        ("llama3.2:8b-instruct-q8_0", False),
        ("gemma3n:4b", False),
        ("llama3.2:3b", True),
        ("llama3.2:latest", True),
        ("gemma3:4b-it-qat", True),
        ("qwen2.5:14b", True),
        ("nomic-embed-text:137m-v1.5-fp16", True),
        ("our-own:8b", True),
    ],
)
def test_names_that_do_not_exist(name: str, real: bool) -> None:
    assert (no_such_tag(name) is None) is real


@pytest.mark.parametrize(
    ("name", "architecture", "oldest"),
    [
        ("gemma3n:e2b", "gemma3n", "0.9.3"),
        ("our-own:4b", "gemma3", "0.6.0"),
        ("llama3.2:3b", "llama", None),
        ("our-own:4b", "unheard-of", None),
    ],
)
def test_the_oldest_ollama_is_of_the_model_or_its_architecture(
    name: str, architecture: str, oldest: str | None
) -> None:
    assert oldest_ollama(name, architecture) == oldest


@pytest.mark.parametrize(
    ("tag", "refused"),
    [
        *(
            ("0.5.13", True),
            ("0.6.0", False),
            ("0.11.4", False),
            ("0.5.13-rocm", True),
            ("v0.5.9", True),
            ("0.5.13-rc1", True),
        ),
        *(("0.6.0-rc1", False), ("latest", False), ("0.5", False), ("0.5.13.1", False)),
    ],
)
def test_a_model_is_not_locked_for_an_ollama_that_is_too_old_where_both_are_known(
    tag: str, refused: bool
) -> None:
    wanted = samples.release(images={"ollama": f"docker.io/ollama/ollama:{tag}", "gateway": samples.GATEWAY})
    said = _models_that_are_too_new(wanted, lock().models)
    line = (
        f"models.{samples.MODEL}: gemma3 needs Ollama 0.6.0 or newer, "
        f"images.ollama is docker.io/ollama/ollama:{tag}. Take a newer one, or another model."
    )
    assert said == ([line] if refused else [])


def test_an_entry_is_found_by_any_of_its_tags() -> None:
    for name, key in {"bge-m3:latest": "bge-m3:567m", "gemma3:latest": "gemma3:4b"}.items():
        found = find(name)
        assert found is not None and found[0] == key
    assert find("gemma3:2b") is None


def test_a_release_with_a_model_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(GOOD.replace("gemma3:270m", "llama3.2:8b"))
    with pytest.raises(SealiftError) as refusal:
        load_release(path)
    assert str(refusal.value) == (
        f"{path}: models.llama3.2:8b: no such model in Ollama's library, which has llama3.2 as 1b, 3b; "
        "nearest: llama3.2:3b, llama3.2:1b. Correct it; a model of your own needs a name of its own."
    )
    path.write_text(GOOD.replace("gemma3:270m", "our-own:8b"))
    assert list(load_release(path).models) == ["our-own:8b"]


def test_the_command_says_what_fits_which_memory() -> None:
    ran = CliRunner().invoke(application(), ["models", "gemma3", "--ram", "8G", "--vram", "2048M", "--json"])
    fits = {name: model["fits"] for name, model in json.loads(ran.stdout).items()}
    assert fits == {
        "gemma3:270m": {"ram": True, "vram": True},
        "gemma3:1b": {"ram": True, "vram": True},
        "gemma3:4b": {"ram": True, "vram": False},
        "gemma3:12b": {"ram": False, "vram": False},
        "gemma3:27b": {"ram": False, "vram": False},
    }


def test_the_table_has_a_row_of_figures_for_each_model_and_says_what_fits() -> None:
    given = ("--context", "8192", "--parallel", "2", "--ram", "8G", "--vram", "2048M")
    shown = CliRunner().invoke(application(), ["models", "gemma3", *given]).stdout.splitlines()
    rows = [line.split() for line in shown if line.strip() and "─" not in line]
    assert [" ".join(row) for row in rows] == [
        "model size quant memory context modalities licence ram vram",
        "gemma3:270m 291.6 MB Q8_0 1.7 GiB 32K text gemma fits fits",
        "gemma3:1b 815.3 MB Q4_K_M 2.5 GiB 32K text gemma fits no",
        "gemma3:4b 3.3 GB Q4_K_M 7.9 GiB 128K text, images gemma fits no",
        "gemma3:12b 8.1 GB Q4_K_M 16.7 GiB 128K text, images gemma no no",
        "gemma3:27b 17.4 GB Q4_K_M 28.0 GiB 128K text, images gemma no no",
        "memory at context 8192, parallel 2, ram 8.0 GiB, vram 2.0 GiB",
    ]


def test_the_command_refuses_what_it_does_not_know() -> None:
    ran = CliRunner().invoke(application(), ["models", "llama3.2:8b"])
    assert isinstance(ran.exception, SealiftError)
    assert "nearest: llama3.2:3b, llama3.2:1b" in str(ran.exception)
    assert CliRunner().invoke(application(), ["models", "--ram", "16"]).exit_code == 2
