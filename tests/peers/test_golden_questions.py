"""The demo's golden questions, asked of a real Ollama: what they find good, and what they catch."""

from __future__ import annotations

import json
import shutil
import struct
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from sealift.content import digest_of
from sealift.release.locked_model import WEIGHTS
from tests.lab.commands import CHECKOUT, Commands
from tests.peers import demo_roles, newer_ollama, ollama
from tests.peers.demo_roles import Roles
from tests.unit import samples

SOURCES = CHECKOUT / "build/ingredients"
ROLES = ("chat", "classify", "embed")
GEMMA = "gemma3-270m.tar"
_TOKENS = b"tokenizer.ggml.tokens"
_FURTHER = 40_000  # tokens
_KEPT = 256  # tokens at the start that have a meaning of their own, such as the end of a text


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's Ollama."""
    Commands(CHECKOUT / ".lab").ok("python", "-m", "demo.ingredients", SOURCES)
    return ollama.program(SOURCES / "ollama-0.11.4.tar", tmp_path_factory.mktemp("ollama"))


@pytest.fixture(scope="module")
def good(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    """The demo's roles."""
    with demo_roles.serving(program, SOURCES, tmp_path_factory.mktemp("good")) as roles:
        yield roles


@pytest.mark.parametrize("role", ROLES)
def test_the_demo_answers_its_golden_questions_well(
    good: Roles, role: str, record_property: Callable[[str, object], None]
) -> None:
    verdicts = good.verdicts(role)
    record_property(role, {asked: verdict.said for asked, verdict in verdicts.items()})
    assert len(verdicts) >= 2
    assert {asked: verdict for asked, verdict in verdicts.items() if verdict.problem} == {}


def test_a_chat_model_of_nonsense_is_caught(
    program: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Its vocabulary is out of order: it answers with 200 and in words, and means none of them."""
    sources = tmp_path / "sources"
    sources.mkdir()
    shutil.copy(SOURCES / "all-minilm-22m.tar", sources)
    with_another_vocabulary(SOURCES / GEMMA, sources / GEMMA)
    with demo_roles.serving(program, sources, tmp_path / "store") as roles:
        verdicts, embeds = roles.verdicts("chat"), roles.verdicts("embed")
    record_property("nonsense", {asked: verdict.said for asked, verdict in verdicts.items()})
    assert all(verdict.problem and "500" not in verdict.problem for verdict in verdicts.values())
    assert any(verdict.said for verdict in verdicts.values())
    assert not any(verdict.problem for verdict in embeds.values())


@pytest.mark.exhaustive
def test_a_runtime_that_breaks_embeddings_is_caught(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Ollama 0.24.0 says its version and lists all models, and chats; it crashes when this one is loaded."""
    with demo_roles.serving(newer_ollama.program(), SOURCES, tmp_path / "store") as roles:
        version, tags = (
            requests.get(f"{roles.ollama.url}/api/{name}", timeout=30) for name in ("version", "tags")
        )
        chat, embed = roles.verdicts("chat"), roles.verdicts("embed")
    record_property("embed", {asked: verdict.problem for asked, verdict in embed.items()})
    assert version.json() == {"version": newer_ollama.VERSION}
    assert {f"{role}:latest" for role in ROLES} <= {model["name"] for model in tags.json()["models"]}
    assert not any(verdict.problem for verdict in chat.values())
    assert all(verdict.problem and verdict.problem.startswith("answers 500") for verdict in embed.values())


def with_another_vocabulary(store: Path, target: Path) -> None:
    """Write a store's tarball again, the tokens of its model's vocabulary in another order."""
    with tarfile.open(store) as archive:
        files = {member.name: _content(archive, member) for member in archive}
    (name,) = (name for name in files if name.startswith("manifests/"))
    manifest = json.loads(files[name])
    (weights,) = (layer for layer in manifest["layers"] if layer["mediaType"] == WEIGHTS)
    content = _in_another_order(files.pop("blobs/" + weights["digest"].replace(":", "-")))
    weights["digest"] = digest_of(content).digest
    files["blobs/" + weights["digest"].replace(":", "-")] = content
    files[name] = json.dumps(manifest).encode()
    samples.tar(target, files)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    found = archive.extractfile(member)
    assert found is not None
    return found.read()


def _in_another_order(weights: bytes) -> bytes:
    """A GGUF file in which every token has the text of another one."""
    start = weights.index(_TOKENS) + len(_TOKENS)
    kind, of, count = struct.unpack_from("<IIQ", weights, start)
    assert (kind, of) == (9, 8)  # an array of texts
    at, tokens = start + 16, []
    for _ in range(count):
        (length,) = struct.unpack_from("<Q", weights, at)
        tokens.append(weights[at + 8 : at + 8 + length])
        at += 8 + length
    moved = [*tokens[:_KEPT], *tokens[_KEPT + _FURTHER :], *tokens[_KEPT : _KEPT + _FURTHER]]
    texts = b"".join(struct.pack("<Q", len(token)) + token for token in moved)
    return weights[: start + 16] + texts + weights[at:]
