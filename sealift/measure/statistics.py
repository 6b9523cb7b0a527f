"""What many measurements come to: their middle and how far they spread."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from sealift.release.values import Frozen


class Spread(Frozen):
    """Measurements, each no more than a number."""

    count: int = Field(ge=1)
    least: float
    median: float
    p95: float = Field(description="of 20 measurements one is above it; of fewer it is near the most")
    most: float


def spread_of(values: Iterable[float]) -> Spread | None:
    """What some measurements come to; None where there are none."""
    ordered = sorted(values)
    if not ordered:
        return None
    return Spread(
        count=len(ordered),
        least=ordered[0],
        median=_quantile(ordered, 0.5),
        p95=_quantile(ordered, 0.95),
        most=ordered[-1],
    )


def _quantile(ordered: list[float], share: float) -> float:
    """Between two measurements, in proportion: as `statistics.quantiles` has it, method `inclusive`."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
