"""The demo release's roles in an Ollama on loopback, as a host has them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from sealift.errors import SealiftError
from sealift.progress import silent
from sealift.quality.evaluate import golden_questions
from sealift.quality.judge import Verdict, judged
from sealift.release.locked_model import LockedModel
from sealift.release.parse import load_release
from sealift.release.roles import first_choices, placed_names
from sealift.release.types import Release
from sealift.sources.arrivals import Arrivals
from sealift.sources.kinds import model_source
from sealift.sources.resolve import lock_contents
from sealift.sources.source import BuildMachine, Find
from tests.lab.commands import CHECKOUT
from tests.peers import ollama
from tests.peers.ollama import Ollama
from tests.unit import fleet_site


@dataclass(frozen=True)
class Roles:
    """A release's roles, served."""

    release: Release
    ollama: Ollama

    def verdicts(self, role: str) -> dict[str, Verdict]:
        """What came of a role's golden questions, by what is asked."""

        def ask(path: str, body: Mapping[str, object]) -> Any:
            answer = requests.post(f"{self.ollama.url}{path}", json=body, timeout=300)
            if answer.status_code != 200:
                raise SealiftError(f"answers {answer.status_code} {answer.text[:200]}")
            return answer.json()

        asked = golden_questions(self.release.roles[role])
        return {golden.title: judged(role, golden, ask) for golden in asked}


def demo_release() -> Release:
    """The demo's release file."""
    return load_release(CHECKOUT / "releases/demo.yaml")


@contextmanager
def serving(program: Path, sources: Path, folder: Path) -> Iterator[Roles]:
    """The demo's roles, as long as they are needed.

    + program: an Ollama
    + sources: with the tarballs of its models
    + folder: for its store, removed at the end
    """
    release = demo_release()
    machine = BuildMachine(sources, Arrivals(folder / "cache", silent), silent, {})
    contents, wrong = lock_contents(release.model_copy(update={"images": {}, "files": {}}), machine)
    assert wrong == []
    lock = fleet_site.lock().model_copy(update={"release": release, "models": contents.models})
    names = placed_names(lock, frozenset(), first_choices(release.roles))
    texts = {layer.digest: content for _, layer, content in lock.made}
    ollama.place(folder, names, texts, _finding(release, contents.models, machine))
    try:
        with ollama.serving(program, folder) as running:
            yield Roles(release, running)
    finally:
        shutil.rmtree(folder)


def _finding(release: Release, models: Mapping[str, LockedModel], machine: BuildMachine) -> Find:
    """Finds the blobs of several models, each in its own tarball."""
    of_blob = {
        blob.digest: model_source(name, release.models[name], machine).open(locked)
        for name, locked in models.items()
        for blob in locked.blobs
    }
    return lambda blob: of_blob[blob.digest](blob)
