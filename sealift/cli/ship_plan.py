"""What `sealift ship --dry-run` and `sealift ship --simulate` show."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich.filesize import decimal
from rich.table import Table

from sealift.cli.console import say, show
from sealift.cli.options import print_json
from sealift.cli.waiting import counted
from sealift.errors import SealiftError
from sealift.ship.preview import Preview
from sealift.ship.simulate import (
    Fleet,
    bound,
    chain,
    chain_with_a_death,
    expected,
    parse_rate,
    parse_site,
    star,
)


def show_planned(found: Preview, rate: str, as_json: bool) -> None:
    """Print what would be shipped, how, and how long that takes.

    + rate: of each link, as `parse_rate` has it
    """
    seconds, least = expected(found, parse_rate(rate))
    if as_json:
        print_json({**dataclasses.asdict(found), "seconds": round(seconds, 1), "bound": round(least, 1)})
        return
    table = Table("host", "to ship")
    for host, count in found.lacking.items():
        table.add_row(host, decimal(count))
    show(table)
    for made in found.chains:
        say(f"chain      {' > '.join(made.order)}: {decimal(made.longest)} over the link that carries most")
    say(f"control    sends {decimal(found.from_control)}")
    say(f"time       {duration(seconds)} at {rate}, no way takes less than {duration(least)}")


def show_simulated(size: int, hosts: int, rate: str, sites: Sequence[str], as_json: bool) -> None:
    """Print how long a release of `size` bytes takes to a fleet of so many hosts, by each way.

    + sites: of these hosts, as `parse_site` has them

    Raises SealiftError where the sites have more hosts than there are.
    """
    slow = tuple(map(parse_site, sites))
    fleet = Fleet(hosts - sum(site.hosts for site in slow), parse_rate(rate), slow)
    if hosts < 1 or fleet.near < 0:
        raise SealiftError(
            f"{hosts} hosts: expected 1 or more, and no fewer than sites behind slow links have."
        )
    done = chain(size, fleet)
    dies = chain_with_a_death(size, fleet, fleet.hosts // 2, done[-1] / 2) or done
    least, at_once = bound(size, fleet), star(size, fleet)
    if as_json:
        told = {"bound": least, "chain": done[-1], "one_dies": dies[-1], "star": at_once}
        print_json({"bytes": size, "hosts": hosts, **{name: round(each, 1) for name, each in told.items()}})
        return
    table = Table("way", "last host", "times the bound")
    ways = {
        "no way takes less than": least,
        "a chain": done[-1],
        "a chain, and its middle host dies half-way": dies[-1],
        "from the control node to all hosts at once": at_once,
    }
    for name, seconds in ways.items():
        table.add_row(name, duration(seconds), f"{seconds / least:,.2f}")
    show(table)
    say(f"{decimal(size)} to {counted(hosts)} over links of {rate}")
    place = fleet.near
    for site in fleet.by_rate:
        last, link = duration(done[place + site.hosts - 1]), f"{site.rate * 8 / 1e6:g} Mbit/s"
        say(f"site       {counted(site.hosts)} behind {link}: all in a chain after {last}")
        place += site.hosts


def duration(seconds: float) -> str:
    """Seconds for people: 4 s, 12 min, 3.5 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
