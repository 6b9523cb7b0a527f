"""What on a host no generation needs that it may still go back to."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from sealift.facts.fact import FactBase
from sealift.facts.foreign import foreign
from sealift.host.garbage import GARBAGE
from sealift.host_paths import ROOT


@dataclass(frozen=True)
class Unneeded:
    """Paths of what can go: generations (links), repositories (folders), blobs (files)."""

    generations: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()


class Garbage(FactBase[Unneeded]):
    """What no generation needs; nothing where none is active."""

    default = Unneeded

    def command(self) -> str:
        """Compare what there is with what the active generation and the one before it name."""
        return shlex.join(["sh", "-c", GARBAGE, "sealift", ROOT])

    @foreign
    def process(self, output: list[str]) -> Unneeded:
        """Read `KIND PATH` lines."""
        found: dict[str, list[str]] = {"generation": [], "repository": [], "blob": []}
        for line in output:
            kind, _, path = line.partition(" ")
            found[kind].append(path)
        return Unneeded(*(tuple(found[kind]) for kind in ("generation", "repository", "blob")))
