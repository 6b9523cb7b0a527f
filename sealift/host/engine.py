"""What a host's Docker says: one question over its socket in place of a start of its client for each.

Questions are words: `info`, `networks`, `images`, `containers`, `policies` of restarting, and those of
`models_of`, `says` and `sees`. The answers are Docker's own, as JSON, in fields that every version of its API
has. Source: docs.docker.com/reference/api/engine/
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from sealift.errors import one_line

_SCRIPT = resources.files("sealift.host").joinpath("engine.pl").read_text()
_KEY = "engine="  # begins each line
_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")  # at the end of `Up 2 hours (healthy)`

_LATE, _FAILS = "late", "fails"
INFO, NETWORKS, IMAGES, CONTAINERS, POLICIES = "info", "networks", "images", "containers", "policies"


class EngineError(ValueError):
    """Docker runs, and did not say all that it was asked: what it left out is not known to be none."""


def models_of(project: str, port: int) -> str:
    """How the models of the Ollama of a Compose project are, which listens on that port in its container."""
    return f"models:{project}:{port}"


def says(project: str, port: int, path: str) -> str:
    """What the service of a Compose project answers on loopback in its container, with the head."""
    return f"says:{project}:{port}{path}"


def sees(project: str, path: str) -> str:
    """The SHA-256 of a file as the containers of a Compose project see it.

    A file that was replaced on the host is not what a container sees that was started before: it keeps the
    old one. So it is read through the container's first process.
    """
    return f"sees:{project}:{path}"


def asking(questions: Iterable[str]) -> str:
    """A line of sh(1) that asks; nothing is said where Docker does not run, which this does not start.

    + questions: each once, in any order
    """
    return f"perl -e {shlex.quote(_SCRIPT)} {shlex.join(sorted(set(questions)))} 2>/dev/null </dev/null || :"


def answers(said: Iterable[str]) -> Mapping[str, list[str]]:
    """The answers by question, out of lines among which there may be others.

    Raises EngineError where some are missing.
    """
    found: dict[str, list[str]] = {}
    for each in said:
        question, tab, answer = each.removeprefix(_KEY).partition("\t")
        if each.startswith(_KEY) and tab:
            found.setdefault(question, []).append(answer)
    for failure in found.get(_FAILS, []):
        raise EngineError(
            f"its Docker answers {one_line(failure)[:100]}, expected 200. Look why: journalctl -u docker"
        )
    if _LATE in found:
        raise EngineError(
            "its Docker did not answer all within 30 s, expected moments. Look at its load, then run the "
            "same again."
        )
    return found


def line(question: str, answer: str) -> str:
    """A line that tells an answer."""
    return f"{_KEY}{question}\t{answer}"


@dataclass(frozen=True)
class Seen:
    """A container as Docker lists it.

    + labels: all of them
    + health: `starting`, `healthy`, `unhealthy`, or empty without a check and where it does not run
    + ports: of the host
    """

    id: str
    name: str
    labels: Mapping[str, str]
    state: str
    health: str
    image_id: str
    ports: frozenset[int]

    @property
    def project(self) -> str:
        """Compose's name of it; empty where it is of none."""
        return self.labels.get(_PROJECT, "")

    @property
    def service(self) -> str:
        """Compose's name of it; empty where it is of none."""
        return self.labels.get(_SERVICE, "")


def containers(found: Mapping[str, Sequence[str]]) -> tuple[Seen, ...]:
    """All containers, out of answers. Raises ValueError, TypeError or LookupError where they are none."""
    listed = [line.removeprefix("all ") for line in found.get(CONTAINERS, ()) if line.startswith("all ")]
    return tuple(_seen(each) for line in listed for each in json.loads(line))


def _seen(container: Mapping[str, Any]) -> Seen:
    health = _HEALTH.search(container["Status"])
    return Seen(
        id=container["Id"],
        name=container["Names"][0].removeprefix("/") if container["Names"] else "",
        labels=dict(container["Labels"] or {}),
        state=container["State"],
        health=health[1] if health else "",
        image_id=container["ImageID"],
        ports=frozenset(int(port["PublicPort"]) for port in container["Ports"] or () if "PublicPort" in port),
    )


def image_ids(found: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """The IDs of all images, out of answers. Raises as `containers` does."""
    return frozenset(json.loads(line)["Id"] for line in found.get(IMAGES, ()))


def models(lines: Sequence[str]) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Names of models in memory, and by role that does not answer, what Ollama says.

    A runner that has died is one that Ollama does not notice by itself: then nothing counts as loaded.

    + lines: the answers to `models_of`

    Raises as `containers` does.
    """
    told: dict[str, list[str]] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        told.setdefault(kind, []).append(rest)
    failed = dict(line.partition(" ")[::2] for line in told.get("failed", []))
    loaded = [model for line in told.get("loaded", []) for model in json.loads(line)["models"]]
    runners = sum(map(int, told.get("runners", [])))
    alive = runners >= len({model["digest"] for model in loaded})
    return tuple(str(model["name"]) for model in loaded) if alive else (), failed
