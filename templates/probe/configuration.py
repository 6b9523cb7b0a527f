"""What the probe is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Role:
    """A role of the host.

    + kind: `chat` or `embed`
    + model: that answers it
    + names: by any of which Ollama may list that model as loaded
    + objectives: the release's, by name
    """

    kind: str
    model: str
    names: tuple[str, ...] = ()
    objectives: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    """What the host's inventory and release say.

    + gateway: its address and port
    + host: that its certificate must be for
    + ca, key: files
    + output: the file to write
    + proc: the host's /proc
    + interval_s: from the beginning of a round to that of the next
    + timeout_s: that an answer may take; `load_timeout_s` where its model is not in memory: who goes away
      while a model is being loaded has Ollama give that up, for everybody
    + degraded_s: of an answer that takes longer
    + memory_limit_bytes: of Ollama's container
    + gpu: whether the host is to have one
    """

    gateway: tuple[str, int]
    host: str
    ca: str
    key: str
    output: str
    proc: str
    roles: Mapping[str, Role]
    interval_s: float
    timeout_s: float
    load_timeout_s: float
    degraded_s: float
    release: str
    bundle: str
    memory_limit_bytes: int
    gpu: bool

    @classmethod
    def read(cls, path: Path) -> Configuration:
        """Read it: one JSON object of these names."""
        found = json.loads(path.read_text())
        roles = {name: Role(**{**of, "names": tuple(of["names"])}) for name, of in found.pop("roles").items()}
        return cls(roles=roles, gateway=tuple(found.pop("gateway")), **found)
