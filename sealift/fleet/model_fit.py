"""Whether models fit into a host's memory or its GPUs', and what would."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sealift.fleet.settings import OllamaSettings, in_force
from sealift.release.memory import Memory, reckon, reckon_beside_gpus, reckon_on_gpus
from sealift.release.types import Lock, Shape

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
    """What a model takes when it is loaded where there is no GPU."""

    model: str
    roles: tuple[str, ...]
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
        roles = ", ".join(self.roles)
        return f"{self.model} ({roles}) needs {mib(memory.total)} MiB of {where} ({parts})"


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


def needs(lock: Lock, settings: OllamaSettings, room: Room) -> tuple[Need, ...]:
    """What each model that answers a role takes, the largest first.

    Context and parallel are those in force; the context is never more than the model was trained for.
    """
    return _needs(lock, in_force(settings, lock.release.roles.values()), room)


def misfit(lock: Lock, settings: OllamaSettings, room: Room) -> Misfit | None:
    """Whether the models that may be loaded at once fit: into GPUs as a whole, where there are any.

    The container's limit holds for the host's memory.

    + settings: `max_loaded_models` of the largest count
    """
    applied = in_force(settings, lock.release.roles.values())
    if _fit(lock, applied, room):
        return None
    together, would_fit = _together(lock, applied, room), tuple(_what_would_fit(lock, applied, room))
    if room.gpus:
        what = (need.described(need.on_gpus(1), "GPU memory") for need in together)
        there = " and ".join(f"{gpu // MIB} MiB" for gpu in room.gpus)
        beside = mib(sum(need.beside_gpus for need in together))
        expected = f"at most {there}, and {beside} MiB of the host's memory beside it"
    else:
        what = (need.described(need.memory, "memory") for need in together)
        limit = _limit(applied, room) // MIB
        expected = f"at most {limit} MiB, the smaller of host and ollama.memory_limit_mib"
    return Misfit(" and ".join(what), expected, would_fit)


def _limit(applied: OllamaSettings, room: Room) -> int:
    return min(applied.memory_limit_mib * MIB, room.host)


def _needs(lock: Lock, applied: OllamaSettings, room: Room) -> tuple[Need, ...]:
    roles: dict[str, list[str]] = {}
    for name, role in lock.release.roles.items():
        roles.setdefault(role.model, []).append(name)
    # Ollama has flash attention on GPUs alone, and without it f16 alone. Source: `FlashAttentionSupported` in
    # discover/types.go and `NewLlamaServer` in llm/server.go of v0.11.4.
    kind = applied.kv_cache_type if room.gpus and applied.flash_attention else "f16"

    def need(model: str, of_model: list[str]) -> Need:
        locked = lock.models[model]
        context = min(applied.context_length, locked.context_length)
        memory = reckon(locked.weights, locked.shape, context, applied.num_parallel, kind)
        return Need(model, tuple(of_model), locked.shape, memory)

    return tuple(
        sorted((need(*each) for each in roles.items()), key=lambda found: found.memory.total, reverse=True)
    )


def _together(lock: Lock, applied: OllamaSettings, room: Room) -> tuple[Need, ...]:
    return _needs(lock, applied, room)[: applied.max_loaded_models]


def _fit(lock: Lock, applied: OllamaSettings, room: Room) -> bool:
    together, limit = _together(lock, applied, room), _limit(applied, room)
    if not room.gpus:
        return sum(need.memory.total for need in together) <= limit
    return _fit_gpus(together, room.gpus) and sum(need.beside_gpus for need in together) <= limit


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


def _what_would_fit(lock: Lock, applied: OllamaSettings, room: Room) -> Iterator[str]:
    def fits(**changes: Any) -> bool:
        return _fit(lock, applied.model_copy(update=changes), room)

    def largest(key: str, now: int, step: int) -> int:
        return step * bisect_left(range(step, now, step), True, key=lambda value: not fits(**{key: value}))

    if context := largest("context_length", applied.context_length, _STEP):
        yield f"context {context} in place of {applied.context_length}"
    if parallel := largest("num_parallel", applied.num_parallel, 1):
        yield f"parallel {parallel} in place of {applied.num_parallel}"
    for kind in ("q8_0", "q4_0"):
        if fits(kv_cache_type=kind, flash_attention=True):
            yield f"kv_cache_type {kind} and flash_attention"
            break
    together = _together(lock, applied, room)
    if room.gpus:
        yield f"one GPU of {mib(sum(need.on_gpus(1).total for need in together))} MiB"
    else:
        yield f"{mib(sum(need.memory.total for need in together))} MiB"


def mib(count: int) -> int:
    """Bytes as MiB, rounded up."""
    return -(-count // MIB)
