"""A chain: each host gives what comes to the next while it arrives. Pure functions of who lacks what.

Every host takes just what it lacks, from where its own partial blob ends, and gives to the next just what
that one lacks, out of its store or as it arrives. So each is served by the host before it, whatever that one
lacked itself, and a chain that broke is mended by another one, planned from what is there by then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sealift.blob import Blob
from sealift.ship.plan import Have, plan

LEAST_HOSTS = 3  # below it all comes from the control node
LEAST_BYTES = (
    64 << 20
)  # that it spares the control node's link: for less it takes longer to make than it saves
_NO_LIMIT = 1 << 62  # bytes per second


@dataclass(frozen=True)
class Carried:
    """A blob on its way through a host.

    + taken: offset that the host lacks it from; None where it has it
    + given: offset that the next one lacks it from; None where that one has it, or there is no next one
    """

    blob: Blob
    taken: int | None
    given: int | None

    @property
    def bytes(self) -> int:
        """That the host takes of it."""
        return 0 if self.taken is None else self.blob.size - self.taken


@dataclass(frozen=True)
class Part:
    """A host's part in a chain."""

    host: str
    items: tuple[Carried, ...]

    @property
    def bytes(self) -> int:
        """That it takes from the one before it."""
        return sum(item.bytes for item in self.items)

    def reached(self, count: int) -> tuple[int, int]:
        """How far a host is that took so many bytes: the item that it lacks next, and the offset there."""
        for number, item in enumerate(self.items):
            if item.taken is None:
                continue
            if count < item.bytes:
                return number, item.taken + count
            count -= item.bytes
        return len(self.items), 0


@dataclass(frozen=True)
class Stage:
    """Blobs that the same hosts need, and these, in the inventory's order."""

    hosts: tuple[str, ...]
    blobs: tuple[Blob, ...]


def stages(needed: Mapping[str, Collection[Blob]]) -> tuple[Stage, ...]:
    """The blobs of all hosts by who needs them, those that most hosts need first.

    + needed: by host, in the inventory's order
    """
    who: dict[Blob, list[str]] = {}
    for host, blobs in needed.items():
        for blob in dict.fromkeys(blobs):
            who.setdefault(blob, []).append(host)
    by_hosts: dict[tuple[str, ...], list[Blob]] = {}
    for blob, hosts in who.items():
        by_hosts.setdefault(tuple(hosts), []).append(blob)
    found = [Stage(hosts, tuple(blobs)) for hosts, blobs in by_hosts.items()]
    return tuple(sorted(found, key=lambda stage: -len(stage.hosts)))


def fit(stage: Stage, haves: Mapping[str, Have]) -> tuple[str, ...]:
    """The hosts of a stage that a chain can be made of: none where it is not worth it.

    Left out, for SSH knows more of a single host: those with blobs to be hashed again, and without room.

    + haves: what hosts have, of those that said it
    """
    plans = {host: plan(stage.blobs, haves[host]) for host in stage.hosts if host in haves}
    able = [h for h, p in plans.items() if not p.check and p.bytes_total <= haves[h].free]
    lacking = [plans[host].bytes_total for host in able]
    spared = sum(lacking) - max(lacking, default=0)  # a chain takes the time of the one that lacks most
    return tuple(able) if len(able) >= LEAST_HOSTS and spared >= LEAST_BYTES else ()


def link(
    hosts: Sequence[str],
    blobs: Sequence[Blob],
    haves: Mapping[str, Have],
    last: Mapping[str, int],
    rates: Mapping[str, int],
) -> tuple[Part, ...]:
    """Make a chain: those that lack least come first, for they can give at once; else the inventory's order.

    + hosts: in the inventory's order
    + haves: what each of them has
    + last: those that should be at the end, the largest number last
    + rates: bytes per second of those with a limit, which hold up all behind them: the lowest comes last
    """
    lacks = {host: {item.blob: item.offset for item in plan(blobs, haves[host]).items} for host in hosts}
    left = {host: sum(blob.size - offset for blob, offset in lacks[host].items()) for host in hosts}
    order = sorted(hosts, key=lambda host: (last.get(host, 0), -rates.get(host, _NO_LIMIT), left[host]))
    behind = [*order[1:], None]
    return tuple(
        Part(
            host,
            tuple(
                Carried(blob, lacks[host].get(blob), lacks[after].get(blob) if after else None)
                for blob in blobs
                if blob in lacks[host] or (after and blob in lacks[after])
            ),
        )
        for host, after in zip(order, behind, strict=True)
    )
