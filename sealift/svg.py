"""Lines over time or over a number, as SVG that stands inside of a page: no script, no style of its own.

Each line is labelled where it ends, so that nobody has to look for its colour in a legend.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

# Wong's colours, which colour-blind people tell apart (Nature Methods 8, 441), darker or lighter where they
# would not stand out from the page by 3 to 1.
STYLE = """\
:root {
  --c0: #0072b2; --c1: #c65400; --c2: #00805d; --c3: #a8467f; --c4: #8a6a00; --c5: #4f5b69; --rest: #a9b3bf;
}
@media (prefers-color-scheme: dark) {
  :root {
    --c0: #56b4e9; --c1: #f08a3c; --c2: #2bc49a; --c3: #e39cc4; --c4: #e6c229; --c5: #c3ccd6; --rest: #5b6878;
  }
}
svg.chart { display: block; width: 100%; height: auto; overflow: visible; }
svg.chart text { font: 11px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--soft); }
svg.chart text.name { fill: var(--ink); }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
svg .c0 { stroke: var(--c0); } svg .c1 { stroke: var(--c1); } svg .c2 { stroke: var(--c2); }
svg .c3 { stroke: var(--c3); } svg .c4 { stroke: var(--c4); } svg .c5 { stroke: var(--c5); }
svg .rest { stroke: var(--rest); stroke-width: 1; }
svg .end { stroke-width: 6; stroke-linecap: round; }
svg.spark { display: block; overflow: visible; width: 4.2rem; min-width: 4.2rem; height: 1.6rem; }
"""
COLOURS = 6  # lines that have one, and a name
_WIDTH, _HEIGHT = 420, 180
_TOP, _BOTTOM = 10, 22
_CHARACTER = 6.2  # of 11px, on average
_NAME = 16  # characters of a line's name that have room
_APART = 13  # from one name to the next
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TIMES = (
    *(_MINUTE * each for each in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * each for each in (1, 2, 3, 6, 12)),
    *(_DAY * each for each in (1, 2, 7, 14, 28, 91, 365)),
)
_TICKS = 5  # at most, on the axis of time
_NOTHING, _MOST = (
    1e-9,
    1e15,
)  # what is smaller is 0 on an axis of numbers, and what is larger has no place there


def is_shown(value: float) -> bool:
    """Whether a value is a number that a picture has room for."""
    return abs(value) <= _MOST  # as no comparison with NaN is true


@dataclass(frozen=True)
class Curve:
    """A line.

    + points: x and y; a y that is no number, or beyond all reason, is a gap
    """

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Axis:
    """From where to where, and what stands along it.

    + ticks: places and their texts
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def share(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high one. NaN where it is not shown."""
        if not is_shown(value):
            return math.nan
        return min(max((value - self.low) / (self.high - self.low), -1.0), 2.0)


def number_axis(values: Iterable[float]) -> Axis:
    """From 0, or from below it, to a round number not under any of these that are shown."""
    known = [value if abs(value) >= _NOTHING else 0.0 for value in values if is_shown(value)]
    low = min([*known, 0.0])
    high = max([*known, 0.0]) if any(known) else 1.0
    step = _round_step((high - low) / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    places = [number * step for number in range(first, last + 1)]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return Axis(places[0], places[-1], tuple((place, f"{place:,.{digits}f}") for place in places))


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * each for each in (1, 2, 5, 10) if power * each >= least * (1 - 1e-9))


def time_axis(start: float, end: float) -> Axis:
    """Seconds since 1970, with round times in UTC."""
    span = end - start
    step = next((each for each in _TIMES if span / each <= _TICKS), _TIMES[-1])
    first = math.ceil(start / step)
    places = (number * step for number in range(first, first + _TICKS + 1) if number * step <= end)
    form = "%d %b" if step >= _DAY else "%H:%M"
    return Axis(
        start, end, tuple((place, datetime.fromtimestamp(place, UTC).strftime(form)) for place in places)
    )


def draw(curves: Sequence[Curve], x: Axis, y: Axis, label: str, *, dots: bool = False) -> Markup:
    """Draw lines. The first six have colours and names; more of them are thin and grey.

    + label: what is seen, for who does not see it
    + dots: instead of lines
    """
    named = curves[:COLOURS]
    left = 8 + _CHARACTER * max(len(text) for _, text in y.ticks)
    right = _WIDTH - 14 - _CHARACTER * max([len(_cut(curve.name)) for curve in named], default=0)

    def across(value: float) -> float:
        return left + x.share(value) * (right - left)

    def down(value: float) -> float:
        return _HEIGHT - _BOTTOM - y.share(value) * (_HEIGHT - _BOTTOM - _TOP)

    parts = [
        Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            _WIDTH, _HEIGHT, label
        )
    ]
    for place, text in y.ticks:
        parts.append(_line("grid", left, down(place), right, down(place)))
        parts.append(_text(left - 6, down(place) + 4, text, "end"))
    for place, text in x.ticks:
        at = across(place)
        parts.append(_line("grid", at, _HEIGHT - _BOTTOM, at, _HEIGHT - _BOTTOM + 4))
        parts.append(_text(at, _HEIGHT - 6, text, "middle"))
    for number, curve in reversed([*enumerate(curves)]):
        colour = f"c{number}" if number < COLOURS else "rest"
        path = _path([(across(a), down(b)) for a, b in curve.points], dots)
        parts.append(_curve(f"line {colour}{' end' if dots else ''}", path, curve.name))
    if not any(_ends(curve) for curve in curves):
        parts.append(_text((left + right) / 2, _HEIGHT / 2 - _BOTTOM / 2, "no figures", "middle"))
    parts += _names(named, right + 8, down)
    return Markup("").join([*parts, Markup("</svg>")])


def _names(curves: Sequence[Curve], across: float, down: Callable[[float], float]) -> list[Markup]:
    """The lines' names, each beside the end of its line, or a little off where two would overlap."""
    ends = sorted(
        (down(last[1]), number) for number, curve in enumerate(curves) if (last := _ends(curve)) is not None
    )
    places = _apart([place for place, _ in ends])
    return [
        part
        for place, (_, number) in zip(places, ends, strict=True)
        for part in (
            _curve(f"end c{number}", f"M{across - 4:.1f} {place:.1f}h0", ""),
            _text(across + 3, place + 4, _cut(curves[number].name), "start", "name"),
        )
    ]


def _apart(places: Sequence[float]) -> list[float]:
    """The same places, in order, none too near to the one before, and all of them in the picture."""
    lowest = _HEIGHT - _BOTTOM
    found: list[float] = []
    for place in places:
        found.append(max([place, *(each + _APART for each in found[-1:])]))
    for number in reversed(range(len(found))):
        below = found[number + 1] - _APART if number + 1 < len(found) else lowest
        found[number] = min(found[number], below)
    return found


def spark(curve: Curve, x: Axis, y: Axis, label: str) -> Markup:
    """A line as high as a line of text."""
    path = _path([(2 + x.share(a) * 96, 22 - y.share(b) * 20) for a, b in curve.points], dots=False)
    start = Markup(
        '<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label="{}">'
    )
    return start.format(label) + _curve("line c0", path, "") + Markup("</svg>")


def _ends(curve: Curve) -> tuple[float, float] | None:
    known = [point for point in curve.points if is_shown(point[1])]
    return known[-1] if known else None


def _path(points: Sequence[tuple[float, float]], dots: bool) -> str:
    """A point alone between gaps is drawn, too: a line without length with round ends."""
    words: list[str] = []
    drawing = False
    for across, down in points:
        if not math.isfinite(down):
            drawing = False
        elif dots or not drawing:
            words.append(f"M{across:.1f} {down:.1f}h0")
            drawing = True
        else:
            words.append(f"L{across:.1f} {down:.1f}")
    return "".join(words)


def _cut(name: str) -> str:
    """A name that has room: what tells names apart stands at either end."""
    return name if len(name) <= _NAME else f"{name[:4]}…{name[5 - _NAME :]}"


def _curve(kind: str, path: str, title: str) -> Markup:
    inside = Markup("<title>{}</title>").format(title) if title else ""
    return Markup('<path class="{}" d="{}">{}</path>').format(kind, path, inside)


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    form = Markup('<path class="{}" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>')
    return form.format(kind, x1, y1, x2, y2)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> Markup:
    form = Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    return form.format(kind, x, y, anchor, text)
