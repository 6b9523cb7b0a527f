"""The GPUs of a host, as nvidia-smi lists them, and whether they can be reckoned with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sealift.release.locked import Lock

GPU = "gpu"  # the inventory group of hosts with an NVIDIA GPU
_MIB = 1 << 20
# What brings nvidia-smi: Debian's package, and the one of NVIDIA's own repository.
_WITH_NVIDIA_SMI = {"nvidia-smi", "nvidia-driver-cuda"}
# Of --query-gpu=index,name,memory.total --format=csv,noheader: `0, NVIDIA L4, 23034 MiB`. A GPU that shares
# the host's memory has `[N/A]`.
# Source: nvidia-smi(1), and "Known Issues" at docs.nvidia.com/dgx/dgx-spark.
_LINE = re.compile(r"([0-9]{1,4}), (.{1,200}), (?:([0-9]{1,9}) MiB|\[[^\]]*\])")


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    + memory: bytes; None where it does not say
    """

    index: int
    name: str
    memory: int | None


@dataclass(frozen=True)
class Gpus:
    """What nvidia-smi says.

    + found: the GPUs
    + error: what it says in place of them
    """

    found: tuple[Gpu, ...] = ()
    error: str | None = None

    @property
    def memory(self) -> tuple[int, ...]:
        """Bytes of each GPU that says so."""
        return tuple(gpu.memory for gpu in self.found if gpu.memory is not None)


def parse_gpus(lines: list[str]) -> Gpus:
    """Parse what nvidia-smi prints; none where there is no nvidia-smi.

    A failure (`No devices were found`, `NVIDIA-SMI has failed because ...`) is text in their place.
    """
    matches = [_LINE.fullmatch(line) for line in lines]
    if not all(matches):
        return Gpus(error=" ".join(line.strip() for line in lines)[:300])
    return Gpus(
        tuple(
            Gpu(int(match[1]), match[2], int(match[3]) * _MIB if match[3] else None)
            for match in matches
            if match
        )
    )


def gpu_problems(gpus: Gpus, lock: Lock) -> Iterator[tuple[str, str, str]]:
    """What keeps a host of the group gpu from its release: what, what was expected, what to do."""
    remedy = "See to its NVIDIA driver, or take the host out of the group gpu."
    brought = {package.name for package in lock.packages_for(frozenset({GPU}))} & _WITH_NVIDIA_SMI
    if gpus.error is not None:
        yield f"its nvidia-smi says: {gpus.error.rstrip('.')}", "a list of GPUs", remedy
    elif not gpus.found and not brought:
        yield "has no nvidia-smi", "NVIDIA's driver on a host of the group gpu", remedy
    for gpu in gpus.found:
        if gpu.memory is None:
            yield (
                f"GPU {gpu.index} ({gpu.name}) does not say how much memory it has",
                "a number of MiB",
                remedy,
            )
