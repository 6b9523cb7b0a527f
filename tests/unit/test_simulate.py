"""How long shipping takes, reckoned, held against the same reckoned piece by piece."""

from __future__ import annotations

import pytest

from sealift.errors import SealiftError
from sealift.ship.preview import Chain, Preview
from sealift.ship.simulate import (
    HOP_S,
    MEND_S,
    PAYLOAD,
    START_S,
    Fleet,
    Site,
    bound,
    chain,
    chain_with_a_death,
    expected,
    parse_rate,
    parse_site,
    star,
)

GB = 10**9
GBIT = 10**9 / 8


def by_pieces(size: int, links: tuple[float, ...], pieces: int) -> list[float]:
    """When each host has the last piece, where a host gives a piece once it has it and its link is free."""
    came = [START_S - HOP_S] * pieces  # the control node has all from the beginning
    done = []
    for rate in links:
        free, here = 0.0, []
        for there in came:
            free = max(free, there + HOP_S) + size / pieces / rate / PAYLOAD
            here.append(free)
        came = here
        done.append(free)
    return done


@pytest.mark.parametrize(
    "fleet",
    [
        Fleet(1, GBIT),
        Fleet(32, GBIT),
        Fleet(5, GBIT, (Site(4, GBIT / 20), Site(3, GBIT / 10), Site(1, 2 * GBIT))),
        Fleet(0, GBIT, (Site(6, GBIT / 3),)),
    ],
)
def test_a_chain_takes_what_its_pieces_take_one_by_one(fleet: Fleet) -> None:
    assert chain(GB, fleet) == pytest.approx(by_pieces(GB, fleet.links, 5000), rel=0.01)


def test_nearly_as_long_for_many_hosts_as_for_one_where_a_star_takes_so_many_times_as_long() -> None:
    one, many = Fleet(1, GBIT), Fleet(100, GBIT)
    assert chain(8 * GB, many)[-1] - chain(8 * GB, one)[-1] == pytest.approx(99 * HOP_S)
    assert star(8 * GB, many) - START_S == pytest.approx(100 * (star(8 * GB, one) - START_S))
    assert star(8 * GB, one) == chain(8 * GB, one)[-1]


def test_a_slow_site_comes_last_and_holds_up_nobody_before_it() -> None:
    slow = Site(3, GBIT / 10)
    done = chain(GB, Fleet(4, GBIT, (slow, Site(2, GBIT / 2))))
    assert done[:4] == chain(GB, Fleet(4, GBIT))
    assert done[5] - START_S == pytest.approx(2 * GB / GBIT / PAYLOAD + 5 * HOP_S)
    assert done[8] - START_S == pytest.approx(10 * GB / GBIT / PAYLOAD + 8 * HOP_S)


def test_hosts_of_a_star_that_a_site_holds_back_leave_the_rest_to_the_others() -> None:
    near, far = 2, 2
    fleet = Fleet(near, GBIT, (Site(far, GBIT / 10),))
    assert (star(GB, fleet) - START_S) * PAYLOAD == pytest.approx(far * GB / (GBIT / 10))
    crowded = Fleet(18, GBIT, (Site(far, GBIT / 10),))  # the fair share of all is less than the site has
    assert (star(GB, crowded) - START_S) * PAYLOAD == pytest.approx(20 * GB / GBIT)


def test_no_way_takes_less_than_the_slowest_link_or_than_all_copies() -> None:
    assert bound(GB, Fleet(9, GBIT)) == GB / GBIT
    assert bound(GB, Fleet(9, GBIT, (Site(1, GBIT / 4),))) == 4 * GB / GBIT
    for fleet in (Fleet(1, GBIT), Fleet(50, GBIT), Fleet(5, GBIT, (Site(40, GBIT / 20),))):
        assert bound(GB, fleet) < chain(GB, fleet)[-1] <= star(GB, fleet)


def test_a_death_costs_those_behind_it_and_nobody_who_was_done() -> None:
    fleet = Fleet(8, GBIT)
    whole = chain(8 * GB, fleet)
    done = chain_with_a_death(8 * GB, fleet, 4, whole[-1] / 2)
    assert len(done) == 7
    assert MEND_S <= done[-1] - whole[-1] <= MEND_S + 8 * HOP_S
    assert chain_with_a_death(8 * GB, fleet, 4, whole[-1]) == (*whole[:4], *whole[5:])


def test_what_is_expected_of_a_site_is_its_chains_and_then_what_comes_straight() -> None:
    found = Preview({"h1": GB, "h2": GB, "h3": GB, "h4": 2}, (Chain(("h1", "h2", "h3"), GB),), GB + 2, 2, GB)
    seconds, least = expected(found, GBIT)
    assert least == GB / GBIT
    assert seconds == pytest.approx(2 * START_S + 2 * HOP_S + (GB + 2) / GBIT / PAYLOAD)
    assert expected(Preview({"h1": 0}, (), 0, 0, 0), GBIT) == (START_S, 0.0)


def test_rates_are_written_as_tc_has_them() -> None:
    assert [parse_rate(text) for text in ("1Gbit", "200mbit", "2.5Gbit", "64kbit")] == [
        GBIT,
        GBIT / 5,
        2.5 * GBIT,
        8000,
    ]
    assert parse_site("40:50Mbit") == Site(40, GBIT / 20)


@pytest.mark.parametrize("wrong", ["", "1G", "0Gbit", "-1Gbit", "1Gbit/s", "nanGbit", "9999999Gbit"])
def test_what_is_no_rate_is_refused(wrong: str) -> None:
    with pytest.raises(SealiftError, match="is no rate, expected one such as 1Gbit"):
        parse_rate(wrong)


@pytest.mark.parametrize("wrong", ["0:1Gbit", "x:1Gbit", "1Gbit"])
def test_what_is_no_site_is_refused(wrong: str) -> None:
    with pytest.raises(SealiftError, match="is no site, expected HOSTS:RATE"):
        parse_site(wrong)
