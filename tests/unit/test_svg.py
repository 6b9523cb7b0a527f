"""Lines drawn as SVG."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from sealift.svg import Axis, Curve, draw, number_axis, spark, time_axis

HOUR = 3600
TIME = time_axis(0, 6 * HOUR)


def texts(drawn: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(drawn).iter("text")]  # noqa: S314 - ours


def curve(name: str, *values: float) -> Curve:
    return Curve(name, tuple((number * HOUR, value) for number, value in enumerate(values)))


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([], ["0.0", "0.5", "1.0"]),
        ([0.0], ["0.0", "0.5", "1.0"]),
        ([3.2], ["0", "1", "2", "3", "4"]),
        ([0.031, 0.4], ["0.0", "0.1", "0.2", "0.3", "0.4"]),
        ([12345.0], ["0", "5,000", "10,000", "15,000"]),
        ([-1.0, 1.0], ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        ([math.nan, math.inf, 2.0], ["0.0", "0.5", "1.0", "1.5", "2.0"]),
        ([1e308, -1e308, 2.0], ["0.0", "0.5", "1.0", "1.5", "2.0"]),
        ([5e-324, -5e-324], ["0.0", "0.5", "1.0"]),
        ([-5e-324, 1.0], ["0.0", "0.5", "1.0"]),
    ],
)
def test_an_axis_has_a_few_round_numbers(values: list[float], ticks: list[str]) -> None:
    assert [text for _, text in number_axis(values).ticks] == ticks


@pytest.mark.parametrize("span", [300, 900, 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400])
def test_the_axis_of_time_has_room_for_its_texts(span: int) -> None:
    ticks = time_axis(1795967498, 1795967498 + span).ticks
    assert 2 <= len(ticks) <= 6
    assert len({text for _, text in ticks}) == len(ticks)


def test_a_line_is_named_where_it_ends_and_names_do_not_overlap() -> None:
    curves = [curve(f"host-{number}", 1, 5) for number in range(6)]
    drawn = draw(curves, TIME, number_axis([5]), "Requests")
    heights = [
        float(each.attrib["y"])
        for each in ElementTree.fromstring(drawn).iter("text")  # noqa: S314 - ours
        if each.attrib["class"] == "name"
    ]
    assert len(heights) == 6
    assert min(b - a for a, b in pairwise(heights)) >= 12


def test_more_lines_than_colours_are_grey_and_without_a_name() -> None:
    drawn = draw([curve(f"h{number}", 1, 2) for number in range(24)], TIME, number_axis([2]), "x")
    assert [text for text in texts(drawn) if text.startswith("h")] == [f"h{n}" for n in range(6)]
    assert drawn.count('class="line rest"') == 18
    assert drawn.count("<title>h23</title>") == 1


def test_a_gap_stays_a_gap_and_a_point_alone_is_seen() -> None:
    drawn = draw([curve("a", 1, math.nan, 1, 1, math.nan, 1)], TIME, number_axis([1]), "x")
    (path,) = re.findall(r'class="line c0" d="([^"]+)"', drawn)
    assert path.count("M") == 3 and path.count("h0") == 3 and path.count("L") == 1


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e308, -1e308])
def test_what_has_no_place_in_the_picture_is_a_gap(value: float) -> None:
    drawn = draw([curve("a", 1, value, 1)], TIME, number_axis([1]), "x")
    assert draw([curve("a", 1, math.nan, 1)], TIME, number_axis([1]), "x") == drawn
    assert "no figures" in texts(draw([curve("a", value)], TIME, number_axis([value]), "x"))


def test_without_figures_the_picture_says_so() -> None:
    assert "no figures" in texts(draw([curve("a", math.nan)], TIME, number_axis([]), "x"))
    assert "no figures" not in texts(draw([curve("a", 1)], TIME, number_axis([]), "x"))


def test_foreign_names_stay_text() -> None:
    hostile = '<script>"&'
    drawn = draw([curve(hostile, 1)], Axis(0, 1, ((0, hostile),)), number_axis([1]), hostile)
    assert "<script" not in drawn
    assert hostile in texts(drawn)
    assert "<script" not in spark(curve("a", 1), TIME, number_axis([1]), hostile)
