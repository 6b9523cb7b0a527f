"""Roles with parameters of their own in a real Ollama, on real weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sealift.progress import silent
from sealift.release.ollama_manifest import parse_model
from sealift.release.roles import Named, placed_names
from sealift.sources.arrivals import Arrivals
from sealift.sources.kinds import model_source
from sealift.sources.resolve import lock_contents
from sealift.sources.source import BuildMachine
from tests.lab.commands import CHECKOUT, Commands
from tests.peers import ollama
from tests.peers.ollama import Ollama
from tests.unit import fleet_site, samples

MODEL = "gemma3:270m"
SYSTEM = 'You name colours & nothing else: "red", <blue>.\nOne word.'
PARAMETERS = {"temperature": 0, "top_p": 0.9, "num_predict": 3, "seed": 7, "stop": ["\n", "A:"]}
ROLES = {
    "chat": {"model": MODEL, "threads": 1},
    "classify": {"model": MODEL, "threads": 1, "system": SYSTEM, "parameters": PARAMETERS},
    "summarize": {"model": MODEL, "threads": 1, "system": "Sum up."},
}
_QUESTION = {"messages": [{"role": "user", "content": "What is the colour of grass?"}]}


@dataclass(frozen=True)
class Host:
    """An Ollama with a release's names, and its log."""

    ollama: Ollama
    names: tuple[Named, ...]
    log: Path

    def loaded(self) -> int:
        """How often a model was loaded."""
        return self.log.read_text().count('msg="llama runner started')


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    sources, folder = CHECKOUT / "build/ingredients", tmp_path_factory.mktemp("host")
    Commands(CHECKOUT / ".lab").ok("python", "-m", "demo.ingredients", sources)
    machine = BuildMachine(sources, Arrivals(folder / "cache", silent), silent, {})
    wanted = {MODEL: {"archive": "gemma3-270m.tar"}}
    contents, wrong = lock_contents(samples.release(images={}, models=wanted, roles=ROLES), machine)
    assert wrong == []
    release = samples.release(models=wanted, roles=ROLES)
    lock = fleet_site.lock().model_copy(update={"release": release, "models": contents.models})
    names = placed_names(lock, frozenset(), dict.fromkeys(ROLES, MODEL))
    texts = {layer.digest: content for _, layer, content in lock.made}
    source = model_source(MODEL, release.models[MODEL], machine)
    ollama.place(folder, names, texts, source.open(contents.models[MODEL]))
    program = ollama.program(sources / "ollama-0.11.4.tar", folder)
    with ollama.serving(program, folder) as running:
        yield Host(running, names, folder / "log")


def test_a_role_is_what_ollama_create_makes_of_its_model(host: Host, tmp_path: Path) -> None:
    parameters = [(name, value) for name, value in PARAMETERS.items() if name != "stop"]
    lines = [f"FROM {MODEL}", f'SYSTEM """{SYSTEM}"""', 'PARAMETER stop "\n"', "PARAMETER stop A:"]
    lines += [f"PARAMETER {name} {value}" for name, value in parameters]
    (tmp_path / "Modelfile").write_text("\n".join(lines))
    made = host.ollama.create("made:1", tmp_path / "Modelfile")
    assert made.returncode == 0, made.stderr
    store = Path(host.ollama.environment["OLLAMA_MODELS"])
    path = store / "manifests/registry.ollama.ai/library/made/1"
    theirs = parse_model(path.read_bytes(), "made")
    (classify,) = (named for named in host.names if named.title == "role classify")
    assert set(classify.variant.manifest.layers) == set(theirs.layers)


def test_ollama_shows_a_roles_own_system_prompt_and_parameters(host: Host) -> None:
    shown = host.ollama.ask("/api/show", model="classify")
    assert shown["system"] == SYSTEM
    said = {tuple(line.split(maxsplit=1)) for line in shown["parameters"].splitlines()}
    assert said == {
        *((name, f"{value}") for name, value in PARAMETERS.items() if name != "stop"),
        *(("stop", json.dumps(stop)) for stop in ("\n", "A:")),
        ("num_thread", "1"),
    }
    of_model = host.ollama.ask("/api/show", model="summarize")
    assert of_model["system"] == "Sum up."
    assert "num_predict                    128" in of_model["parameters"]
    assert "system" not in host.ollama.ask("/api/show", model="chat")


def test_roles_of_one_model_answer_in_their_own_way_and_load_it_once(host: Host) -> None:
    before, short = host.loaded(), {**_QUESTION, "options": {"num_predict": 4}}
    first = host.ollama.ask("/api/chat", model="chat", **short)
    classified = host.ollama.ask("/api/chat", model="classify", **_QUESTION)
    by_name = host.ollama.ask("/api/chat", model=MODEL, **short)
    assert classified["eval_count"] <= 3 < first["eval_count"]
    assert classified["prompt_eval_count"] > first["prompt_eval_count"]
    assert first["message"] == by_name["message"]
    assert host.loaded() == before + 1
    host.ollama.ask("/api/chat", model="chat", options={"num_thread": 2, "num_predict": 1}, **_QUESTION)
    assert host.loaded() == before + 2  # so a load is seen
