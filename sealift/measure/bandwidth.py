"""How fast a host reads memory, and what that allows: each token of one stream takes all weights once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from sealift.errors import SealiftError
from sealift.host.gpus import GPU, parse_gpus
from sealift.host.key_values import key_values
from sealift.measure.statistics import Spread, spread_of
from sealift.release.locked_model import WEIGHTS, LockedModel
from sealift.release.memory import reckon
from sealift.site.inventory import Host

_PROBE = resources.files("sealift.measure").joinpath("bandwidth.pl").read_bytes()
_ROUNDS = 8
_TIME_S = 120
_ASK_GPUS = "nvidia-smi --query-gpu=index,name,memory.total --format=csv,noheader"
_GB = 1_000_000_000
# Bytes a second of a GPU's memory, in GB, by its name in nvidia-smi. Source: NVIDIA's data sheet or product
# page of each, "GPU memory bandwidth".
GPU_GB_PER_SECOND: Mapping[str, int] = {
    "NVIDIA B200": 8000,
    "NVIDIA H200": 4800,
    "NVIDIA H100 80GB HBM3": 3350,
    "NVIDIA H100 NVL": 3900,
    "NVIDIA H100 PCIe": 2000,
    "NVIDIA A100-SXM4-80GB": 2039,
    "NVIDIA A100 80GB PCIe": 1935,
    "NVIDIA A100-SXM4-40GB": 1555,
    "NVIDIA A100-PCIE-40GB": 1555,
    "NVIDIA A30": 933,
    "NVIDIA A10": 600,
    "NVIDIA L40S": 864,
    "NVIDIA L40": 864,
    "NVIDIA L4": 300,
    "NVIDIA RTX 6000 Ada Generation": 960,
    "NVIDIA RTX A6000": 768,
    "NVIDIA GeForce RTX 4090": 1008,
    "NVIDIA GeForce RTX 3090": 936,
    "Tesla T4": 320,
}


@dataclass(frozen=True)
class Bandwidth:
    """How fast memory is read.

    + per_second: bytes
    + of: what reads
    + measured: where it was measured, all rounds; others on the host make single ones slower
    """

    per_second: float
    of: str
    measured: Spread | None = None


def bandwidth_of(host: Host) -> Bandwidth:
    """How fast a host reads the memory that models lie in: measured for processors, looked up for GPUs.

    Raises SealiftError where it cannot be had.
    """
    if GPU in host.groups and not host.settings.gpu.stand_in:
        return parse_gpu(host.name, host.ssh.run(_ASK_GPUS))
    said = host.ssh.run_with('exec perl - "$1"', _PROBE, str(_ROUNDS), timeout_s=_TIME_S)
    return parse_probe(host.name, said)


def parse_probe(host: str, said: str) -> Bandwidth:
    """What bandwidth.pl printed. Raises SealiftError where that is not whole."""
    found = key_values(said)
    numbers = [*found.get("cpus", []), *found.get("read", [])]
    spread = spread_of(map(float, found.get("read", []))) if _are_numbers(numbers) else None
    if spread is None or not spread.least or len(found.get("cpus", [])) != 1:
        raise SealiftError(f"{host}: does not tell how fast its memory is, expected Perl. Log in and look.")
    return Bandwidth(spread.most, f"{found['cpus'][0]} CPUs", spread)


def parse_gpu(host: str, said: str) -> Bandwidth:
    """What is known of the first GPU that nvidia-smi lists.

    Layers of a model on several GPUs are worked on one after another: so the first one's is that of all.

    Raises SealiftError where it is not known.
    """
    gpus = parse_gpus(said.splitlines())
    names = [gpu.name for gpu in gpus.found]
    if not names or names[0] not in GPU_GB_PER_SECOND:
        raise SealiftError(
            f"{host}: how fast the memory of its GPU is ({', '.join(names) or gpus.error or 'none'}) is not "
            "known, expected one of GPU_GB_PER_SECOND in sealift/measure/bandwidth.py. Add it there."
        )
    return Bandwidth(GPU_GB_PER_SECOND[names[0]] * _GB, f"{names[0]}, by its data sheet")


def bytes_per_token(model: LockedModel, position: int, kv_cache_type: str) -> int:
    """Bytes that a token of one stream takes out of memory.

    All weights but a token embedding of its own, of which one row is read; and the KV cache of every token
    before. Too many for a mixture of experts, of which each token takes some.

    + position: tokens before it
    + kv_cache_type: of Ollama's settings
    """
    weights = sum(layer.size for layer in model.layers if layer.media_type == WEIGHTS)
    looked_up = 0 if model.shape.tied else model.shape.embedding
    cache = reckon(weights, model.shape, max(1, position), 1, kv_cache_type).kv_cache
    return max(1, weights - looked_up) + cache


def _are_numbers(texts: list[str]) -> bool:
    return all(re.fullmatch("[0-9]{1,18}", text) for text in texts)
