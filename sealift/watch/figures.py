"""Answers of Prometheus as a page needs them: by label, as lines over its time, and in words with units."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sealift.svg import Curve, is_shown
from sealift.watch.panel import Panel, Unit
from sealift.watch.prometheus import Answers, Series, Window

_POINTS = 120  # of a line, at most
_SHORTEST_S = 15  # from one to the next: hosts are not asked more often
_RATE_S = 300  # over which rates are taken, at least
_GIB, _MIB = 2**30, 2**20
_LEAST = 1e-6  # of a unit
NOTHING = "-"


def window(at: int, since_s: int) -> Window:
    """The time of a page, in steps so that its last one is now.

    + at: now, in seconds since 1970
    + since_s: seconds before that
    """
    step = max(_SHORTEST_S, math.ceil(since_s / _POINTS))
    return Window(at - since_s // step * step, at, step)


def rate_s(over: Window) -> int:
    """Seconds over which rates are taken, so that nothing between two points is lost."""
    return max(_RATE_S, over.step_s)


def by_label(found: Iterable[Series], *labels: str) -> Mapping[tuple[str, ...], float]:
    """The newest value of each series that has all of these labels and is a number to show."""
    return {
        tuple(each.labels[label] for label in labels): each.last
        for each in found
        if is_shown(each.last) and all(label in each.labels for label in labels)
    }


@dataclass(frozen=True)
class Drawn:
    """A panel's answer.

    + curves: the largest first, where there are more than one of a question
    + over: the time that they are about
    """

    panel: Panel
    curves: tuple[Curve, ...]
    over: Window

    @property
    def values(self) -> list[float]:
        """All of them that are numbers to show."""
        return [value for curve in self.curves for _, value in curve.points if is_shown(value)]

    def of(self, name: str) -> Curve:
        """A line by its name; one of gaps where there is none."""
        return next((curve for curve in self.curves if curve.name == name), Curve(name, ()))

    def now(self, name: str) -> float | None:
        """The value of a line at the end of the time, if it has one then."""
        points = self.of(name).points
        return points[-1][1] if points and is_shown(points[-1][1]) else None


def drawn(panel: Panel, answers: Answers, over: Window) -> Drawn:
    """A panel's lines, with gaps where there was nothing."""
    curves: list[Curve] = []
    for name, line in panel.questions:
        found = [Curve(line.called(each.labels), _gapped(each, over)) for each in answers.of(name)]
        curves += sorted(found, key=lambda curve: (-_sum(curve), curve.name))
    return Drawn(panel, tuple(curves), over)


def _gapped(series: Series, over: Window) -> tuple[tuple[float, float], ...]:
    known = {round((time - over.start) / over.step_s): value for time, value in series.points}
    steps = (over.end - over.start) // over.step_s + 1
    return tuple((over.start + step * over.step_s, known.get(step, math.nan)) for step in range(steps))


def _sum(curve: Curve) -> float:
    return sum(value for _, value in curve.points if is_shown(value))


def scale(unit: Unit, most: float) -> tuple[float, str]:
    """What values of an axis are multiplied with, and what that is called.

    + most: the largest of them
    """
    if unit == "s":
        return (1000, "ms") if most < 1 else (1, "s")
    if unit == "bytes":
        return (1 / _GIB, "GiB") if most >= _GIB else (1 / _MIB, "MiB")
    return {
        "ratio": (100.0, "%"),
        "requests/s": (1.0, "a second"),
        "tokens/s": (1.0, "a second"),
        "days": (1.0, "days"),
        "celsius": (1.0, "°C"),
        "watts": (1.0, "W"),
    }.get(unit, (1.0, ""))


def words(value: float | None, unit: Unit) -> str:
    """A value with its unit, short enough for a cell."""
    if value is None or not is_shown(value):
        return NOTHING
    by, name = scale(unit, abs(value))
    short = "" if unit in ("requests/s", "tokens/s") else {"days": "d"}.get(name, name)
    return f"{_digits(value * by)} {short}".strip()


def _digits(value: float) -> str:
    size = abs(value)
    if size >= 9.95 or size < _LEAST or value == round(value):
        return f"{round(value):,}"
    return f"{value:.1f}" if size >= 0.095 else f"{value:.2g}"
