"""Pictures of what roles took, over the verifications of a site: a slower release shows at a glance."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from sealift import svg
from sealift.evidence.types import ClaimResult, Evidence

_OBJECTIVES = "test_keeps_its_objectives["  # of tests/hosts/test_quality.py: the role follows
_FIGURE = re.compile(r"(?:kept|kept here|broken): ([0-9]{1,12}(?:\.[0-9]{1,6})?) (ms|s|tokens/s|MiB)\b")
_UNITS = {"ms": ("s", 0.001), "s": ("s", 1.0), "tokens/s": ("tokens/s", 1.0), "MiB": ("MiB", 1.0)}


def measured(claim: ClaimResult) -> Iterator[tuple[str, str, str]]:
    """The role, the objectives and what was seen of each, where a claim is of those."""
    if claim.name.startswith(_OBJECTIVES):
        role = claim.name.removeprefix(_OBJECTIVES).rstrip("]")
        yield from ((role, name, said) for name, said in claim.observed.items() if _FIGURE.match(said))


def charts(history: Sequence[Evidence]) -> list[tuple[str, Markup]]:
    """A picture for each objective, with a line for each role: of all hosts, the one that does worst.

    + history: verifications in the order of time; of a single one there is nothing to draw
    """
    found: dict[tuple[str, str], dict[str, dict[float, float]]] = {}
    for evidence in history:
        moment = evidence.verified_at.timestamp()
        for claim in evidence.results:
            for role, name, said in measured(claim):
                figure, unit = _figure(said)
                points = found.setdefault((name, unit), {}).setdefault(role, {})
                worse = min if unit == "tokens/s" else max
                points[moment] = worse(points.get(moment, figure), figure)
    return [
        (f"{name}, {unit}", _draw(f"{name}, {unit}", by_role))
        for (name, unit), by_role in sorted(found.items())
        if len({moment for points in by_role.values() for moment in points}) > 1
    ]


def _figure(said: str) -> tuple[float, str]:
    found = _FIGURE.match(said)
    if found is None:  # for the type checker: `measured` has looked
        raise AssertionError
    unit, times = _UNITS[found[2]]
    return float(found[1]) * times, unit


def _draw(title: str, by_role: dict[str, dict[float, float]]) -> Markup:
    curves = [svg.Curve(role, tuple(sorted(points.items()))) for role, points in sorted(by_role.items())]
    moments = [moment for curve in curves for moment, _ in curve.points]
    y = svg.number_axis(value for curve in curves for _, value in curve.points)
    return svg.draw(curves, svg.time_axis(min(moments), max(moments)), y, title)
