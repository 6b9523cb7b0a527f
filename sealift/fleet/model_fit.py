"""Whether models fit into a host's memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sealift.fleet.settings import OllamaSettings, in_force
from sealift.release.types import Lock, LockedModel

MIB = 1 << 20

# Bytes for one element of the KV cache, against f16's two: `kvCacheBytesPerElement` in `fs/ggml/ggml.go` of
# github.com/ollama/ollama v0.11.4.
_OF_F16: Mapping[str, float] = {"f16": 1.0, "q8_0": 0.5, "q4_0": 0.25}

# The compute graph of the output layer, the largest one where vocabularies are large:
# 4 * batch * (embedding + vocabulary), `GraphSize` in the same file. Ollama's batch is 512; Gemma 3 has the
# largest vocabulary of the catalogue, 262144, and embeddings of up to 5376.
_GRAPH = 4 * 512 * (5376 + 262144)
_SERVER = 128 * MIB  # beside the runner; 94 MiB were resident in v0.11.4 while it served a model


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
        return _GRAPH + _SERVER

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
    kv_cache = int(locked.kv_bytes_per_token * tokens * _OF_F16[settings.kv_cache_type])
    return Need(model, tuple(roles), locked.weights, kv_cache)


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
