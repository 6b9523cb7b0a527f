"""What roles promise, held against what was measured. Nothing here knows of hosts or clocks."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sealift.release.objectives import AT_LEAST, Objective, Objectives

# What is measured with: every host and every release the same. An answer of so many tokens is a short one.
PROMPT = "What is the capital of France? Answer in one sentence."
TOKENS = 32
ROUNDS = 3  # after one that loads the model; the median counts


@dataclass(frozen=True)
class Kept:
    """A promise and what became of it.

    + promised, found: seconds, tokens a second, bytes, or a ratio up to 1
    + released: what the release promises
    """

    objective: Objective
    promised: float
    found: float
    released: float

    @property
    def kept(self) -> bool:
        """Whether what is promised on the host is kept."""
        return self._meets(self.promised)

    @property
    def verdict(self) -> str:
        """`kept` where the release's promise is kept, too; else `kept here`, or `broken`."""
        if not self.kept:
            return "broken"
        return "kept" if self._meets(self.released) else "kept here"

    @property
    def told(self) -> str:
        """For people: `1.2 s, promised are at most 2 s`."""
        most = "at least" if self.objective in AT_LEAST else "at most"
        found, promised, released = (
            shown(self.objective, figure) for figure in (self.found, self.promised, self.released)
        )
        if self.promised == self.released:
            return f"{found}, promised are {most} {promised}"
        return f"{found}, promised here are {most} {promised}, by the release {released}"

    def _meets(self, promised: float) -> bool:
        return self.found >= promised if self.objective in AT_LEAST else self.found <= promised


def held_against(
    objectives: Objectives, released: Objectives, measured: Mapping[Objective, Sequence[float]]
) -> tuple[Kept, ...]:
    """What became of promises of which something was measured, by the median.

    + objectives: what is promised on the host
    + released: what its release promises
    + measured: of each round
    """
    return tuple(
        Kept(objective, promised, statistics.median(measured[objective]), released.figures[objective])
        for objective, promised in objectives.figures.items()
        if measured.get(objective)
    )


def shown(objective: Objective, figure: float) -> str:
    """A figure for people, in its unit."""
    match objective:
        case "first_token" | "answer":
            return f"{figure:.2f} s" if figure >= 1 else f"{figure * 1000:.0f} ms"
        case "tokens_per_second":
            return f"{figure:.1f} tokens/s"
        case "memory":
            return f"{figure / 2**20:.0f} MiB"
        case "success":
            return f"{figure:.1%}"


def request_of(role: str, embeds: bool) -> tuple[str, dict[str, object]]:
    """The path and the body that a role is measured with."""
    if embeds:
        return "/api/embed", {"model": role, "input": PROMPT}
    options = {"temperature": 0, "seed": 1, "num_predict": TOKENS}
    messages = [{"role": "user", "content": PROMPT}]
    return "/api/chat", {"model": role, "messages": messages, "options": options, "stream": True}
