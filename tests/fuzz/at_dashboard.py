"""The page of a fleet, out of figures that hosts make up: every question has the same answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

from sealift.watch.figures import window
from sealift.watch.page import questions, render
from sealift.watch.prometheus import parse_answers
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target, alone, only

AT = 1795967498
_OVER = window(AT, 600)
_LABELS = ("host", "role", "client", "release", "severity", "alertname", "objective", "of", "job", "name")
_METRIC = dict.fromkeys(_LABELS, "FUZZ")
_NO_PLACE = re.compile(rb' (?:d|x|y|width)="[^"]*(?:nan|inf)')


def answer(*values: str) -> bytes:
    """What promtool prints of one series, the last value that of now."""
    points = [[AT - 60 * number, value] for number, value in reversed([*enumerate(reversed(values))])]
    return f"ok {json.dumps([{'metric': _METRIC, 'values': points}])}\n".encode()


def shown(said: bytes) -> bytes:
    """The page where every question has this answer.

    Raises SealiftError where it is no answer, AssertionError where a picture has a place that is none.
    """
    asked = questions(_OVER)
    text = said.decode(errors="replace").partition("\n")[0] + "\n"
    page = render("FUZZ", ("FUZZ",), parse_answers("FUZZ", tuple(asked), text * len(asked)), _OVER)
    if found := _NO_PLACE.search(page):
        raise AssertionError(found[0])
    return page


def _page(case: Case, _: Path) -> object:
    return shown(only(case))


TARGETS = (
    Target(
        "page of figures",
        alone(answer("1.5e+06", "NaN", "0.25"), answer(str(AT - 300)), answer("1e308", "-1e308")),
        _page,
        tuple(f'"{value}"'.encode() for value in ("1e308", "-1e308", "5e-324", "+Inf", "-Inf", "NaN", "-0")),
        cost=60,
    ),
)
