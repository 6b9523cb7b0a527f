"""Whether models fit into a host's memory or its GPUs', and what would."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sealift.host.settings import OllamaSettings, in_force
from sealift.release.locked import Lock
from sealift.release.locked_model import Shape
from sealift.release.memory import Memory, reckon, reckon_beside_gpus, reckon_on_gpus
from sealift.release.roles import Answers, first_choices

MIB = 1 << 20
_STEP = 256  # tokens, by which a context that fits is looked for


@dataclass(frozen=True)
class Room:
    """Where models may be loaded, in bytes.

    + host: of the host's memory
    + gpus: of each GPU; none where the processor runs the models
    """

    host: int
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True)
class Need:
    """What a model takes when it is loaded where there is no GPU.

    + in_place_of: the first choices of its roles, where it is not theirs
    """

    model: str
    roles: tuple[str, ...]
    in_place_of: tuple[str, ...]
    shape: Shape
    memory: Memory

    def on_gpus(self, gpus: int) -> Memory:
        """What it takes of so many GPUs."""
        return reckon_on_gpus(self.memory, self.shape, gpus)

    @property
    def beside_gpus(self) -> int:
        """Bytes of the host's own memory for it where it is on GPUs."""
        return reckon_beside_gpus(self.memory, self.shape)

    def described(self, memory: Memory, where: str) -> str:
        """For people: the sum and its parts."""
        parts = ", ".join(f"{mib(count)} {name}" for name, count in memory.parts.items())
        answers = ", ".join((*self.roles, *(f"in place of {model}" for model in self.in_place_of)))
        return f"{self.model} ({answers}) needs {mib(memory.total)} MiB of {where} ({parts})"


@dataclass(frozen=True)
class Misfit:
    """Models that are loaded together and do not fit, for people.

    + what: which they are, and what they need
    + expected: what there is
    + would_fit: what would fit
    """

    what: str
    expected: str
    would_fit: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """Which models answer on a host.

    + misfit: why these do not fit, and all that could answer in their place are larger or do not fit either
    """

    answers: Answers
    misfit: Misfit | None


def choose(lock: Lock, groups: frozenset[str], settings: OllamaSettings, room: Room) -> Choice:
    """Which model answers each role: while they do not fit together, the largest gives way to its fallback.

    The models that may be loaded at once must fit: into GPUs as a whole, where there are any.

    + groups: the inventory groups of the host, which decide what roles it serves
    + settings: `max_loaded_models` of the largest count; the container's limit is of the host's memory
    """
    roles = lock.release.roles_for(groups)
    case = Case(lock, in_force(settings, roles.values()), room, first_choices(roles))
    while not case.fits:
        for need in case.together:
            next_best = {
                role: roles[role].candidates[tried]
                for role in need.roles
                if (tried := roles[role].candidates.index(need.model) + 1) < len(roles[role].candidates)
            }
            if next_best:
                case = replace(case, answers={**case.answers, **next_best})
                break
        else:
            return Choice(case.answers, _explain(case))
    return Choice(case.answers, None)


def needs(lock: Lock, settings: OllamaSettings, room: Room) -> tuple[Need, ...]:
    """What each model takes that is the first choice of a role, the largest first."""
    roles = lock.release.roles
    return Case(lock, in_force(settings, roles.values()), room, first_choices(roles)).needs


@dataclass(frozen=True)
class Case:
    """Models on a host.

    + applied: the settings in force; a context is never more than the model was trained for
    """

    lock: Lock
    applied: OllamaSettings
    room: Room
    answers: Answers

    def changed(self, **settings: Any) -> Case:
        """The same with other settings."""
        return replace(self, applied=self.applied.model_copy(update=settings))

    @property
    def limit(self) -> int:
        """Bytes of the host's memory that models may take."""
        return min(self.applied.memory_limit_mib * MIB, self.room.host)

    @property
    def needs(self) -> tuple[Need, ...]:
        """What each model takes that answers, the largest first."""
        roles: dict[str, list[str]] = {}
        for role, model in self.answers.items():
            roles.setdefault(model, []).append(role)
        found = (self._need(model, tuple(of_model)) for model, of_model in roles.items())
        return tuple(sorted(found, key=lambda need: need.memory.total, reverse=True))

    def _need(self, model: str, roles: tuple[str, ...]) -> Need:
        locked, applied = self.lock.models[model], self.applied
        context = min(applied.context_length, locked.context_length)
        # Ollama has flash attention on GPUs alone, and without it f16 alone. Sources: `NewLlamaServer` in
        # llm/server.go and `FlashAttentionSupported` in discover/types.go of v0.11.4.
        kind = applied.kv_cache_type if self.room.gpus and applied.flash_attention else "f16"
        memory = reckon(locked.weights, locked.shape, context, applied.num_parallel, kind)
        first = {self.lock.release.roles[role].model for role in roles}
        return Need(model, roles, tuple(sorted(first - {model})), locked.shape, memory)

    @property
    def together(self) -> tuple[Need, ...]:
        """The needs of those that may be loaded at once."""
        return self.needs[: self.applied.max_loaded_models]

    @property
    def fits(self) -> bool:
        """Whether they do."""
        together = self.together
        if not self.room.gpus:
            return sum(need.memory.total for need in together) <= self.limit
        beside = sum(need.beside_gpus for need in together)
        return _fit_gpus(together, self.room.gpus) and beside <= self.limit


def _explain(case: Case) -> Misfit:
    together, would_fit = case.together, tuple(_what_would_fit(case))
    if case.room.gpus:
        what = (need.described(need.on_gpus(1), "GPU memory") for need in together)
        there = " and ".join(f"{gpu // MIB} MiB" for gpu in case.room.gpus)
        beside = mib(sum(need.beside_gpus for need in together))
        expected = f"at most {there}, and {beside} MiB of the host's memory beside it"
    else:
        what = (need.described(need.memory, "memory") for need in together)
        limit = case.limit // MIB
        expected = f"at most {limit} MiB, the smaller of host and ollama.memory_limit_mib"
    return Misfit(" and ".join(what), expected, would_fit)


def _fit_gpus(together: Sequence[Need], gpus: Sequence[int]) -> bool:
    """As Ollama does it: a model goes to one GPU where it fits one, else over all that have room.

    Source: `pickBestFullFitByLibrary` in server/sched.go of github.com/ollama/ollama v0.11.4.
    """
    left = sorted(gpus, reverse=True)
    for need in together:
        if need.on_gpus(1).total <= left[0]:
            left[0] -= need.on_gpus(1).total
        elif any(need.on_gpus(count).total <= sum(left[:count]) for count in range(2, len(left) + 1)):
            left = [0] * len(left)
        else:
            return False
        left.sort(reverse=True)
    return True


def _what_would_fit(case: Case) -> Iterator[str]:
    def largest(key: str, now: int, step: int) -> int:
        return step * bisect_left(
            range(step, now, step), True, key=lambda value: not case.changed(**{key: value}).fits
        )

    if context := largest("context_length", case.applied.context_length, _STEP):
        yield f"context {context} in place of {case.applied.context_length}"
    if parallel := largest("num_parallel", case.applied.num_parallel, 1):
        yield f"parallel {parallel} in place of {case.applied.num_parallel}"
    for kind in ("q8_0", "q4_0"):
        if case.changed(kv_cache_type=kind, flash_attention=True).fits:
            yield f"kv_cache_type {kind} and flash_attention"
            break
    if case.room.gpus:
        yield f"one GPU of {mib(sum(need.on_gpus(1).total for need in case.together))} MiB"
    else:
        yield f"{mib(sum(need.memory.total for need in case.together))} MiB"


def mib(count: int) -> int:
    """Bytes as MiB, rounded up."""
    return -(-count // MIB)
