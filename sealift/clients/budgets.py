"""What clients with a budget used of it, on each host: as its keeper of budgets says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sealift.errors import SealiftError
from sealift.host_paths import BUDGETS
from sealift.services import STALE_S
from sealift.site.inventory import Host
from sealift.site.secrets import ClientKeys
from sealift.ssh import on_all

_N = "([0-9]{1,16})"
_HEAD = re.compile(rf"{_N}\nnow {_N}\nminute {_N}\nday [0-9-]{{10}} {_N}\nmonth [0-9-]{{7}} {_N}\n")
_CLIENT = re.compile(rf"([a-z0-9][a-z0-9-]{{0,62}}) {_N} {_N} {_N}")
_PERIODS = ("minute", "day", "month")
_LAST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
# The host's own time comes first: by that the keeper has said something lately, or has not. $1: its file
_READ = 'date +%s; if [ -e "$1" ]; then head -c 10000000 "$1"; fi'


@dataclass(frozen=True)
class Sums:
    """What a host counted.

    + ends: of the minute, the day and the month that it counts now, by period
    + used: tokens by client and period
    """

    ends: Mapping[str, datetime]
    used: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Spent:
    """How much of a budget is used up on a host.

    + period: `minute`, `day` or `month`
    + until: when the next one begins
    """

    client: str
    host: str
    period: str
    used: int
    of: int
    until: datetime


def read_sums(hosts: Iterable[Host]) -> tuple[Mapping[str, Sums], tuple[str, ...]]:
    """Ask all hosts at once. Gives what they counted, and why others say nothing."""
    by_name = {host.name: host for host in hosts}
    path = f"{BUDGETS}/sums/used"
    gathered = on_all(list(by_name), lambda name: parse_sums(name, by_name[name].ssh.run(_READ, path)))
    return gathered.results, tuple(str(error) for error in gathered.errors.values())


def parse_sums(host: str, said: str) -> Sums:
    """Read a host's time and its keeper's file. Raises SealiftError where it does not count now."""
    head = _HEAD.match(said)
    if not head or not said.endswith("\nend\n"):
        raise SealiftError(
            f"{host}: does not say what clients used, expected a keeper of budgets. Run sealift status."
        )
    now, counted, *ends = map(int, head.groups())
    if abs(now - counted) > STALE_S or max(ends) > _LAST:
        raise SealiftError(
            f"{host}: does not count tokens now: clients with a budget are refused there. Run sealift status."
        )
    found = [_CLIENT.fullmatch(line) for line in said[head.end() :].splitlines()[:-1]]
    return Sums(
        {period: datetime.fromtimestamp(at, UTC) for period, at in zip(_PERIODS, ends, strict=True)},
        {each[1]: dict(zip(_PERIODS, map(int, each.groups()[1:]), strict=True)) for each in found if each},
    )


def spent(clients: Mapping[str, ClientKeys], sums: Mapping[str, Sums]) -> tuple[Spent, ...]:
    """Of every budget, what is used up on each host.

    + sums: by host
    """
    return tuple(
        Spent(client, host, period, each.used.get(client, {}).get(period, 0), of, each.ends[period])
        for client, keys in clients.items()
        for period, of in keys.budget.items()
        for host, each in sums.items()
    )
