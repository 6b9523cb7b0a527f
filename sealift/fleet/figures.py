"""What a host's probe has measured, out of the file that it writes for Prometheus."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_MOST = 5000  # lines
# Source: Prometheus' text format, version 0.0.4.
_SERIES = re.compile(r'([a-z_]{1,100})(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S{1,40})')
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class RoleFigures:
    """A role, by its last probe. None where it was not measured.

    + up: whether it answered
    + degraded: whether it was slow
    """

    up: bool | None = None
    degraded: bool | None = None
    first_token_seconds: float | None = None
    answer_seconds: float | None = None
    tokens_per_second: float | None = None


@dataclass(frozen=True)
class GpuFigures:
    """A GPU. None where it was not measured.

    + utilization: 0 to 1
    + memory_used, memory_total: bytes
    """

    name: str = ""
    utilization: float | None = None
    memory_used: float | None = None
    memory_total: float | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Figures:
    """What a probe has measured.

    + age: seconds since it did
    """

    age: int
    roles: Mapping[str, RoleFigures]
    gpus: Mapping[str, GpuFigures]


def parse_figures(age: int, lines: Iterable[str]) -> Figures:
    """Read lines of Prometheus' text format; what is nothing of it, or of no use here, is passed over.

    + age: seconds
    """
    roles: dict[str, dict[str, float]] = {}
    gpus: dict[str, dict[str, float]] = {}
    names: dict[str, str] = {}
    for name, labels, value in _series(lines):
        if name.startswith("sealift_role_") and "role" in labels:
            roles.setdefault(labels["role"], {})[name.removeprefix("sealift_role_")] = value
        elif name.startswith("sealift_gpu_") and "gpu" in labels:
            gpus.setdefault(labels["gpu"], {})[name.removeprefix("sealift_gpu_")] = value
            names[labels["gpu"]] = labels.get("name", "")
    return Figures(
        age,
        {role: _role(found) for role, found in sorted(roles.items())},
        {gpu: _gpu(names[gpu], found) for gpu, found in sorted(gpus.items())},
    )


def _role(found: Mapping[str, float]) -> RoleFigures:
    return RoleFigures(
        up=_is_one(found.get("up")),
        degraded=_is_one(found.get("degraded")),
        first_token_seconds=found.get("first_token_seconds"),
        answer_seconds=found.get("answer_seconds"),
        tokens_per_second=found.get("tokens_per_second"),
    )


def _gpu(name: str, found: Mapping[str, float]) -> GpuFigures:
    return GpuFigures(
        name,
        utilization=found.get("utilization_ratio"),
        memory_used=found.get("memory_used_bytes"),
        memory_total=found.get("memory_total_bytes"),
        temperature=found.get("temperature_celsius"),
    )


def _is_one(value: float | None) -> bool | None:
    return None if value is None else value == 1


def _series(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, str], float]]:
    for line, _ in zip(lines, range(_MOST), strict=False):
        match = _SERIES.fullmatch(line)
        if match is None:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        if math.isfinite(value):
            labels = {name: re.sub(r"\\(.)", r"\1", text) for name, text in _LABEL.findall(match[2] or "")}
            yield match[1], labels, value
