"""A run as one page that needs nothing but a browser: no scripts, fonts or pictures from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeVar

import jinja2
from markupsafe import Markup

from sealift import svg
from sealift.measure.kept import Compared
from sealift.measure.results import Bench, Bound, Cold, Load, Step
from sealift.measure.statistics import Spread

_TEMPLATE = Path(__file__).parents[2] / "templates" / "bench.html.j2"


_Found = TypeVar("_Found", Load, Cold, Bound, Compared)


class Section(NamedTuple):
    """A role on a host."""

    host: str
    role: str
    steps: tuple[Step, ...]
    loads: tuple[Load, ...]
    colds: tuple[Cold, ...]
    bounds: tuple[Bound, ...]
    compared: tuple[Compared, ...]
    plots: tuple[tuple[str, Markup], ...]


def render(bench: Bench, compared: Sequence[Compared], before: Bench | None) -> bytes:
    """Render the page, in UTF-8.

    + compared: with the run before, if there is one
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(seconds=_seconds, spread=_spread)
    return (
        environment.from_string(_TEMPLATE.read_text())
        .render(bench=bench, before=before, sections=tuple(_sections(bench, compared)), style=svg.STYLE)
        .encode()
    )


def _sections(bench: Bench, compared: Sequence[Compared]) -> Iterable[Section]:
    for (host, role), found in groupby(bench.steps, key=lambda step: (step.host, step.role)):
        steps = tuple(found)
        loads = _of(bench.loads, host, role)
        yield Section(
            host,
            role,
            steps,
            loads,
            _of(bench.colds, host, role),
            _of(bench.bounds, host, role),
            _of(compared, host, role),
            (*_by_streams(steps), *map(_over_time, loads)),
        )


def _of(every: Iterable[_Found], host: str, role: str) -> tuple[_Found, ...]:
    return tuple(each for each in every if (each.host, each.role) == (host, role))


def _by_streams(steps: Sequence[Step]) -> Iterable[tuple[str, Markup]]:
    """What becomes of times and tokens where more streams ask at once; nothing of a single step."""
    short = [step for step in steps if step.prompt == "short"]
    if len(short) < 2:
        return
    streams = [float(step.streams) for step in short]
    x = svg.Axis(min(streams), max(streams), tuple((number, f"{number:.0f}") for number in streams))
    plots: dict[str, dict[str, list[float | None]]] = {
        "Seconds by streams at once, median": {
            "first token": [_median(step.first_s) for step in short],
            "answer": [_median(step.answer_s) for step in short],
        },
        "Tokens a second by streams at once": {
            "all together": [step.together for step in short],
            "each": [_median(step.rate) for step in short],
        },
    }
    for title, lines in plots.items():
        curves = [
            svg.Curve(name, tuple(zip(streams, map(_or_gap, values), strict=True)))
            for name, values in lines.items()
            if any(value is not None for value in values)
        ]
        if curves:
            y = svg.number_axis(value for curve in curves for _, value in curve.points)
            yield title, svg.draw(curves, x, y, title)


def _over_time(load: Load) -> tuple[str, Markup]:
    """What each request of an open loop took, by when it was due: a queue that grows climbs."""
    title = f"Seconds until first token and answer, by when each was due: {load.rate:g} a second"
    curves = [
        svg.Curve("first token", tuple((each.due_s, _or_gap(each.first_s)) for each in load.moments)),
        svg.Curve("answer", tuple((each.due_s, _or_gap(each.answer_s)) for each in load.moments)),
    ]
    y = svg.number_axis(value for curve in curves for _, value in curve.points)
    x = svg.number_axis([load.seconds])
    return title, svg.draw(curves, x, y, title, dots=True)


def _or_gap(value: float | None) -> float:
    return math.nan if value is None else value


def _median(spread: Spread | None) -> float | None:
    return spread.median if spread else None


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    return f"{_seconds(spread.median)} ({_seconds(spread.least)} to {_seconds(spread.most)})"
