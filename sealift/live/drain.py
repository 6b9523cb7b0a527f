"""Hosts drained and undrained: every front door at once sends one no more, or sends it something again.

Front doors get the list of hosts as the inventory has it by now, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sealift.errors import SealiftError
from sealift.facts.live import asking
from sealift.fleet.behind import has_service, hosts_behind, stored_releases
from sealift.fleet.host_lock import host_held
from sealift.host.behind import Behind
from sealift.host.generation import hosts_files, live_path
from sealift.host.wanted import TEMPLATES
from sealift.live.push import Hold, News, Pushed, push
from sealift.services import FRONT, HOSTS, asking_envoy
from sealift.site.drained import read_drained, write_drained
from sealift.site.inventory import Host, Inventory
from sealift.ssh import Gathered, on_all

T = TypeVar("T")

# Source: `writeClustersAsText` in source/server/admin/clusters_handler.cc of github.com/envoyproxy/envoy.
_LINE = re.compile(r"hosts::(\S{1,300})::(hostname|rq_active|rq_pending_active|health_flags)::(\S{1,253})")
# Source: `HostUtility::healthFlagsToString` in source/common/upstream/host_utility.cc, there.
_WELL = "healthy"


class NoFrontError(SealiftError):
    """A site has no front door."""


@dataclass(frozen=True)
class Fronts:
    """The front doors of a site, and what is behind them.

    + doors: their hosts, as an inventory
    """

    doors: Inventory
    fleet: tuple[Behind, ...]


def fronts_of(inventory: Inventory) -> Fronts:
    """The front doors of a site.

    Raises NoFrontError where there is none, SealiftError where what is behind is not known.
    """
    stored = stored_releases(inventory.hosts)
    doors = [
        host.name
        for host in inventory.hosts
        if has_service(host, stored[host.settings.depot, host.settings.release], FRONT)
    ]
    if not doors:
        raise NoFrontError(
            f"{inventory.path}: has no front door, expected a host in the group front. "
            "See docs/front-door.md."
        )
    return Fronts(inventory.limited(doors), hosts_behind(inventory.hosts))


def host_behind(inventory: Inventory, fronts: Fronts, name: str) -> Host:
    """A host that front doors send requests to. Raises SealiftError where it is none."""
    if name not in {each.name for each in fronts.fleet}:
        known = ", ".join(each.name for each in fronts.fleet) or "none"
        raise SealiftError(f"{name}: no front door sends it anything, expected one of: {known}.")
    return next(host for host in inventory.hosts if host.name == name)


def needed_for(fleet: Iterable[Behind], name: str) -> tuple[str, ...]:
    """What nobody answers any more once a host is drained; nothing where it is already.

    + name: of the host
    """
    of = {each.name: () if each.drained else each.names for each in fleet}
    others = {asked for each in fleet if each.name != name and not each.drained for asked in each.names}
    return tuple(asked for asked in of[name] if asked not in others)


def set_drained(
    inventory: Inventory, hosts: Iterable[Host], drained: bool, hold: Hold = host_held
) -> tuple[Pushed, ...]:
    """Write down that hosts are drained or no more, and tell every front door.

    The locks of the depots are held already.

    + hold: as in `push`

    Raises SealiftError where the site's files cannot be read.
    """
    for host in hosts:
        known = read_drained(host.settings)  # maybe of another inventory with the same secrets, too
        write_drained(host.settings, known | {host.name} if drained else known - {host.name})
    fronts = fronts_of(inventory)
    news = News("list of hosts", hosts_files(fronts.fleet, TEMPLATES), {live_path(FRONT, HOSTS): ""})
    return push(fronts.doors, lambda _: news, hold)


def still_running(fronts: Fronts, name: str) -> Mapping[str, int]:
    """How many requests of each front door a host still works on.

    Raises SealiftError where a front door does not say it.
    """
    return {door: running[name] for door, running in all_running(fronts, (name,)).items()}


def all_running(fronts: Fronts, names: Collection[str]) -> Mapping[str, Mapping[str, int]]:
    """How many requests of each front door some hosts still work on, by front door and host.

    Raises SealiftError where a front door does not say it.
    """
    return running_by_door(fronts, names).all()


def running_by_door(fronts: Fronts, names: Collection[str]) -> Gathered[Mapping[str, int]]:
    """The same, and which front doors do not say it."""
    return _asked(fronts, lambda door, said: parse_running(door, said, names))


def sick_by_door(fronts: Fronts) -> Gathered[frozenset[str]]:
    """The hosts that each front door sends nothing now: they do not answer it well, or are drained."""
    return _asked(fronts, lambda _, said: parse_sick(said))


def _asked(fronts: Fronts, parse: Callable[[str, str], T]) -> Gathered[T]:
    by_name = {host.name: host for host in fronts.doors.hosts}
    ask = asking(FRONT, asking_envoy("/clusters"))
    return on_all(list(by_name), lambda door: parse(door, by_name[door].ssh.run(ask)))


def parse_running(door: str, said: str, names: Collection[str]) -> Mapping[str, int]:
    """How many requests hosts have, as Envoy says it.

    + door: the front door, for the message
    + said: `/clusters` of its admin interface

    Raises SealiftError where it does not say it of each.
    """
    running: dict[str, int] = {}
    for each in _hosts(said):
        counts = [each.get(key, "") for key in ("rq_active", "rq_pending_active")]
        if each.get("hostname") in names and all(re.fullmatch("[0-9]{1,9}", count) for count in counts):
            running[each["hostname"]] = sum(map(int, counts))
    for name in names:
        if name not in running:
            raise SealiftError(
                f"{door}: its front door does not say what runs on {name}. Run sealift status."
            )
    return running


def parse_sick(said: str) -> frozenset[str]:
    """The hosts that Envoy does not hold healthy; one that it says nothing of is none of them.

    + said: `/clusters` of its admin interface
    """
    hosts = (each for each in _hosts(said) if each.get("health_flags", _WELL) != _WELL)
    return frozenset(each["hostname"] for each in hosts if "hostname" in each)


def _hosts(said: str) -> Iterable[dict[str, str]]:
    """What Envoy says of each host behind it."""
    found: dict[str, dict[str, str]] = {}
    for line in said.splitlines():
        if match := _LINE.fullmatch(line.strip()):
            found.setdefault(match[1], {})[match[2]] = match[3]
    return found.values()
