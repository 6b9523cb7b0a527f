"""Whether models fit into a host's memory, and what would."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sealift.fleet.settings import OllamaSettings, in_force
from sealift.release.memory import Memory, reckon
from sealift.release.types import Lock

MIB = 1 << 20
_STEP = 256  # tokens, by which a context that fits is looked for


@dataclass(frozen=True)
class Need:
    """What a model takes when it is loaded."""

    model: str
    roles: tuple[str, ...]
    memory: Memory

    def __str__(self) -> str:
        """For people: the sum and its parts."""
        parts = ", ".join(f"{mib(count)} {name}" for name, count in self.memory.parts.items())
        return (
            f"{self.model} ({', '.join(self.roles)}) needs {mib(self.memory.total)} MiB of memory ({parts})"
        )


@dataclass(frozen=True)
class Misfit:
    """Models that are loaded together and do not fit.

    + limit: bytes they may have
    + would_fit: what would, for people
    """

    needs: tuple[Need, ...]
    limit: int
    would_fit: tuple[str, ...]

    def __str__(self) -> str:
        """For people: which models, what they need."""
        return " and ".join(map(str, self.needs))


def needs(lock: Lock, settings: OllamaSettings) -> tuple[Need, ...]:
    """What each model that answers a role takes, the largest first.

    Context and parallel are those in force; the context is never more than the model was trained for.
    """
    return _needs(lock, in_force(settings, lock.release.roles.values()))


def misfit(lock: Lock, settings: OllamaSettings, host_memory: int) -> Misfit | None:
    """Whether the models that may be loaded at once fit into the container's limit and the host's memory.

    + settings: `max_loaded_models` of the largest count
    + host_memory: bytes
    """
    limit = min(settings.memory_limit_mib * MIB, host_memory)
    applied = in_force(settings, lock.release.roles.values())
    if _total(lock, applied) <= limit:
        return None
    return Misfit(_together(lock, applied), limit, tuple(_what_would_fit(lock, applied, limit)))


def _needs(lock: Lock, applied: OllamaSettings) -> tuple[Need, ...]:
    roles: dict[str, list[str]] = {}
    for name, role in lock.release.roles.items():
        roles.setdefault(role.model, []).append(name)
    found = (Need(model, tuple(of_model), _memory(lock, model, applied)) for model, of_model in roles.items())
    return tuple(sorted(found, key=lambda need: -need.memory.total))


def _memory(lock: Lock, model: str, applied: OllamaSettings) -> Memory:
    locked = lock.models[model]
    context = min(applied.context_length, locked.context_length)
    # Ollama passes the type over without flash attention. Source: `NewLlamaServer`, llm/server.go of v0.11.4.
    kind = applied.kv_cache_type if applied.flash_attention else "f16"
    return reckon(locked.weights, locked.shape, context, applied.num_parallel, kind)


def _together(lock: Lock, applied: OllamaSettings) -> tuple[Need, ...]:
    return _needs(lock, applied)[: applied.max_loaded_models]


def _total(lock: Lock, applied: OllamaSettings) -> int:
    return sum(need.memory.total for need in _together(lock, applied))


def _what_would_fit(lock: Lock, applied: OllamaSettings, limit: int) -> Iterator[str]:
    def total(**changes: Any) -> int:
        return _total(lock, applied.model_copy(update=changes))

    def largest(key: str, highest: int, step: int) -> int:
        smaller = range(step, highest, step)
        return step * bisect_right(smaller, limit, key=lambda value: total(**{key: value}))

    if context := largest("context_length", applied.context_length, _STEP):
        yield f"context {context} in place of {applied.context_length}"
    if parallel := largest("num_parallel", applied.num_parallel, 1):
        yield f"parallel {parallel} in place of {applied.num_parallel}"
    for kind in ("q8_0", "q4_0"):
        if total(kv_cache_type=kind, flash_attention=True) <= limit:
            yield f"kv_cache_type {kind} and flash_attention"
            break
    yield f"{mib(total())} MiB"


def mib(count: int) -> int:
    """Bytes as MiB, rounded up."""
    return -(-count // MIB)
