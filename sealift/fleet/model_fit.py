"""Whether models fit into a host's memory."""

from __future__ import annotations

from dataclasses import dataclass

from sealift.fleet.settings import OllamaSettings, in_force
from sealift.release.memory import ENGINE, kv_cache
from sealift.release.types import Lock, LockedModel

MIB = 1 << 20


@dataclass(frozen=True)
class Need:
    """What a model takes when it is loaded, in bytes."""

    model: str
    roles: tuple[str, ...]
    weights: int
    kv_cache: int

    @property
    def engine(self) -> int:
        """What the engine takes beside weights and KV cache."""
        return ENGINE

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv_cache + self.engine


def needs(lock: Lock, settings: OllamaSettings) -> tuple[Need, ...]:
    """What each model that answers a role takes, the largest first.

    weights + KV cache bytes per token * context * parallel + engine, as Ollama itself reckons
    (`EstimateGPULayers` in `llm/memory.go`), but without its allowance for sliding windows, which makes
    the result too large rather than too small. Context and parallel are those in force; the context is
    never more than the model was trained for.
    """
    roles: dict[str, list[str]] = {}
    for name, role in lock.release.roles.items():
        roles.setdefault(role.model, []).append(name)
    applied = in_force(settings, lock.release.roles.values())
    found = (_need(lock.models[model], model, of_model, applied) for model, of_model in roles.items())
    return tuple(sorted(found, key=lambda need: -need.total))


def _need(locked: LockedModel, model: str, roles: list[str], settings: OllamaSettings) -> Need:
    tokens = min(settings.context_length, locked.context_length) * settings.num_parallel
    cache = kv_cache(locked.kv_bytes_per_token, tokens, settings.kv_cache_type)
    return Need(model, tuple(roles), locked.weights, cache)


@dataclass(frozen=True)
class Misfit:
    """Models that are loaded together and do not fit.

    + limit: bytes they may have
    """

    needs: tuple[Need, ...]
    limit: int

    def __str__(self) -> str:
        """For people: which models, what they need, what there is."""
        parts = (
            f"{need.model} ({', '.join(need.roles)}) needs {_mib(need.total)} MiB of memory "
            f"({_mib(need.weights)} weights, {_mib(need.kv_cache)} context, {_mib(need.engine)} engine)"
            for need in self.needs
        )
        return " and ".join(parts)


def misfit(lock: Lock, settings: OllamaSettings, host_memory: int) -> Misfit | None:
    """Whether the models that may be loaded at once fit into the container's limit and the host's memory.

    Memory of GPUs is not looked at: a model must fit into the host's own, into which it spills.

    + settings: `max_loaded_models` of the largest count
    + host_memory: bytes
    """
    limit = min(settings.memory_limit_mib * MIB, host_memory)
    together = needs(lock, settings)[: settings.max_loaded_models]
    return Misfit(together, limit) if sum(need.total for need in together) > limit else None


def _mib(count: int) -> int:
    return -(-count // MIB)
