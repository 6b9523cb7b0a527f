"""Which hosts others can stand in for, and the wait until nothing runs on them any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence

_PAUSE_S = 1  # between two looks at what still runs


def replaceable(hosts: Sequence[str], answers: Mapping[str, Collection[Hashable]]) -> tuple[str, ...]:
    """Those of some hosts that can be away at the same time: somebody else answers all that they do.

    The first ones go first: of two that stand in for each other, the second is left.

    + answers: by host that is sent requests, what it answers
    """
    left = {host: frozenset(names) for host, names in answers.items()}
    chosen: list[str] = []
    for host in hosts:
        others = {name for each, names in left.items() if each != host for name in names}
        if host in left and left[host] <= others:
            chosen.append(host)
            del left[host]
    return tuple(chosen)


def until_idle(
    ask: Callable[[], Mapping[str, Mapping[str, int]]],
    hosts: Collection[str],
    within_s: float,
    now: Callable[[str], None],
) -> Mapping[str, int]:
    """Wait until nothing runs on hosts; gives how many requests still run on which, empty where none does.

    + ask: how many run, by front door and host
    + within_s: seconds, after which it is not waited any more
    + now: takes what is waited for
    """
    end = time.monotonic() + within_s
    while True:
        doors = ask()
        left = {host: total for host in hosts if (total := sum(door[host] for door in doors.values()))}
        if not left or time.monotonic() > end:
            return left
        now(f"{sum(left.values())} requests still run on {', '.join(left)}")
        time.sleep(_PAUSE_S)


def told_idle(hosts: Collection[str], left: Mapping[str, int], within_s: int) -> str:
    """What came of the wait, for people.

    + left: as `until_idle` gives it
    """
    if left:
        return f"{sum(left.values())} requests still ran after {within_s} s, and are cut off"
    return f"{', '.join(hosts)}: nothing runs there any more"
