"""How long shipping takes, reckoned: by a chain, to all hosts at once, and what no way can beat. Pure.

Bytes flow down a chain as through pipes in a row: a host gives what it got a moment before, so the slowest
link up to a host decides when that host has all, and each host before it adds a moment. What a chain takes
beside that was measured by bench/ship.py; docs/ship.md says how near this comes to what was measured.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from sealift.errors import SealiftError
from sealift.ship.preview import Preview

PAYLOAD = 0.945  # of what a link carries, the release's own bytes: the rest is Ethernet's, TCP's and SSH's
START_S = 1.0  # to ask hosts, to make the chain, and to look at all stores at the end
HOP_S = 0.03  # from when a host has a byte until the next one begins to get it
MEND_S = 9.0  # from when a host dies until the others go on: 6 s of silence, and another chain
_RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(k|M|G)bit", re.IGNORECASE)
_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9}


@dataclass(frozen=True)
class Site:
    """Hosts that share one link to all others. A site of one host is a host whose own link is slow.

    + rate: of that link, either way, in bytes/s
    """

    hosts: int
    rate: float


@dataclass(frozen=True)
class Fleet:
    """Hosts to ship to.

    + near: hosts in the control node's own network
    + rate: of each host's link and of the control node's, either way, in bytes/s
    """

    near: int
    rate: float
    sites: tuple[Site, ...] = ()

    @property
    def hosts(self) -> int:
        """All of them."""
        return self.near + sum(site.hosts for site in self.sites)

    @property
    def by_rate(self) -> tuple[Site, ...]:
        """Its sites, the fastest first: a slow link holds up only who is behind it."""
        return tuple(sorted(self.sites, key=lambda site: -site.rate))

    @property
    def links(self) -> tuple[float, ...]:
        """The rates of a chain's links: fast sites first, each site's hosts side by side.

        A site's link carries the release in once, to the site's first host, and out once, to the next site.
        """
        rates = [self.rate] * self.near
        before = self.rate
        for site in self.by_rate:
            own = min(self.rate, site.rate)
            rates += [min(before, own), *[self.rate] * (site.hosts - 1)]
            before = own
        return tuple(rates)


def bound(size: int, fleet: Fleet) -> float:
    """Seconds that no way of shipping can beat.

    The release has to leave the control node, to come in over every link, and all its copies have to be sent
    by somebody. Source: Kumar and Ross, Optimal Peer-Assisted File Distribution (HotWeb 2006).

    + size: bytes of the release
    """
    sent = fleet.hosts * size / (fleet.rate * (1 + fleet.hosts))
    return max(size / min(fleet.links), size / fleet.rate, sent)


def chain(size: int, fleet: Fleet) -> tuple[float, ...]:
    """Seconds until each host of a chain has all of it, in the chain's order."""
    return _flow((size,) * fleet.hosts, fleet.links, START_S)


def chain_with_a_death(size: int, fleet: Fleet, dead: int, at: float) -> tuple[float, ...]:
    """The same for all but one host, which dies; the others go on from what each has.

    + dead: its place in the chain, from 0
    + at: when, in seconds
    """
    links = fleet.links
    slowest = list(accumulate(links, min))
    got = (max(0.0, at - START_S - place * HOP_S) * rate * PAYLOAD for place, rate in enumerate(slowest))
    left = [max(0.0, size - each) for each in got]
    before = chain(size, fleet)
    joined = [*links[:dead], *links[dead + 1 :]]
    if dead < len(joined):
        joined[dead] = min(links[dead], links[dead + 1])  # its neighbours may be of two sites
    rest = _flow([*left[:dead], *left[dead + 1 :]], joined, at + MEND_S)
    others = (*before[:dead], *before[dead + 1 :])
    return tuple(done if done <= at else later for done, later in zip(others, rest, strict=True))


def _flow(left: Sequence[float], links: Sequence[float], begins: float) -> tuple[float, ...]:
    """When each host has all, where each lacks so many bytes, and no host more than the one behind it."""
    slowest = accumulate((size / rate for size, rate in zip(left, links, strict=True)), max)
    return tuple(begins + place * HOP_S + each / PAYLOAD for place, each in enumerate(slowest))


def star(size: int, fleet: Fleet) -> float:
    """Seconds until the last host has all of it, where the control node sends it to each of them at once.

    Hosts share the control node's link fairly; those that get less than that, for a site's link has no more,
    leave the rest to the others.
    """
    groups = [(fleet.near, fleet.rate)] if fleet.near else []
    groups += [(site.hosts, min(fleet.rate, site.rate / site.hosts)) for site in fleet.sites]
    groups.sort(key=lambda group: group[1])
    left, now = [float(size)] * len(groups), 0.0
    while any(left):
        room, hosts = fleet.rate, sum(count for (count, _), rest in zip(groups, left, strict=True) if rest)
        rates = []
        for (count, most), rest in zip(groups, left, strict=True):
            rates.append(min(most, room / hosts) if rest else 0.0)
            if rest:
                room, hosts = room - count * rates[-1], hosts - count
        step = min(rest / rate for rest, rate in zip(left, rates, strict=True) if rest)
        left = [
            0.0 if rest <= rate * step * (1 + 1e-9) else rest - rate * step
            for rest, rate in zip(left, rates, strict=True)
        ]
        now += step
    return START_S + now / PAYLOAD


def expected(preview: Preview, rate: float) -> tuple[float, float]:
    """Seconds that shipping takes by what is known of it, and seconds that no way could beat.

    + rate: of every link, in bytes/s
    """
    if not preview.from_control:
        return START_S, 0.0
    in_chains = sum(START_S + (len(each.order) - 1) * HOP_S for each in preview.chains)
    carried = sum(each.longest for each in preview.chains) + preview.straight
    sent = sum(preview.lacking.values()) / (1 + len(preview.lacking))
    least = max(preview.nowhere, sent, *preview.lacking.values()) / rate
    return START_S + in_chains + carried / rate / PAYLOAD, least


def parse_rate(text: str) -> float:
    """Bytes a second of a rate as tc(8) has it: 200Mbit, 1Gbit. Raises SealiftError."""
    found = _RATE.fullmatch(text.strip())
    if not found or not float(found[1]):
        raise SealiftError(f"{text}: is no rate, expected one such as 1Gbit, 200Mbit or 512kbit.")
    return float(found[1]) * _UNITS[found[2].lower()] / 8


def parse_site(text: str) -> Site:
    """HOSTS:RATE, such as 40:50Mbit. Raises SealiftError."""
    hosts, _, rate = text.partition(":")
    if not re.fullmatch(r"[1-9][0-9]{0,5}", hosts):
        raise SealiftError(f"{text}: is no site, expected HOSTS:RATE such as 40:50Mbit.")
    return Site(int(hosts), parse_rate(rate))
