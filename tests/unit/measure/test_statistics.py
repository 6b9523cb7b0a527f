"""Medians, spreads, and times of arrival."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.measure.arrivals import poisson
from sealift.measure.statistics import Spread, spread_of

_NUMBERS = st.lists(st.floats(0, 1e6, allow_nan=False), min_size=2, max_size=50)


def test_of_nothing_there_is_no_spread() -> None:
    assert spread_of([]) is None


def test_a_single_measurement_is_all_of_it() -> None:
    assert spread_of([2.5]) == Spread(count=1, least=2.5, median=2.5, p95=2.5, most=2.5)


@given(_NUMBERS)
def test_the_spread_is_what_the_standard_library_has(values: list[float]) -> None:
    spread = spread_of(values)
    assert spread
    assert spread.median == pytest.approx(statistics.median(values))
    assert spread.p95 == pytest.approx(statistics.quantiles(values, n=20, method="inclusive")[-1])
    assert (spread.count, spread.least, spread.most) == (len(values), min(values), max(values))


def test_arrivals_have_the_rate_and_the_spread_of_users_who_know_nothing_of_each_other() -> None:
    times = list(poisson(5, 2000))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert times == sorted(times) and times[0] > 0 and times[-1] < 2000
    assert len(times) == pytest.approx(5 * 2000, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(1 / 5, rel=0.05)  # that of an exponential distribution


def test_the_same_load_is_sent_again() -> None:
    first, again, other = (list(poisson(2, 60, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
