"""A site at a glance: what stands on its hosts, what differs, and which alerts fire. All is asked at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sealift.drift.status import HostStatus, fleet_status
from sealift.errors import SealiftError
from sealift.fleet.blob_check import damaged_blobs
from sealift.fleet.survey import Target, targets
from sealift.services import MONITOR_GROUP
from sealift.site.inventory import Inventory
from sealift.threads import at_once
from sealift.watch.firing import Alert, firing

_IMAGE = "prometheus"


@dataclass(frozen=True)
class Look:
    """What was found.

    + alerts: that fire and are about these hosts; None where it has no Prometheus, or that is silent
    + unknown: why it does not; empty where it does
    + damaged: a line per damaged blob, by host; None where they were not hashed
    """

    hosts: tuple[HostStatus, ...]
    alerts: tuple[Alert, ...] | None
    unknown: str = ""
    damaged: Mapping[str, tuple[str, ...]] | None = None

    @property
    def ok(self) -> bool:
        """Whether every host answers and is as the inventory wants it."""
        return all(host.ok for host in self.hosts)

    def alerts_of(self, host: str) -> tuple[Alert, ...]:
        """Those about a host."""
        return tuple(alert for alert in self.alerts or () if alert.host == host)


def look_at(site: Inventory, found: tuple[Target, ...]) -> Look:
    """Ask all hosts, and the site's Prometheus where it has one.

    + found: the hosts of `site`
    """
    hosts: list[tuple[HostStatus, ...]] = []
    alerts: list[Look] = []

    def work(what: Callable[[], None]) -> None:
        what()

    todo = (lambda: hosts.append(fleet_status(found)), lambda: alerts.append(_alerts(site)))
    at_once(work, todo, threads=len(todo))
    return replace(alerts[0], hosts=hosts[0])


def with_damaged(look: Look, found: tuple[Target, ...]) -> Look:
    """The same with what hashing every blob finds on the hosts that answer."""
    answering = {status.host for status in look.hosts if status.standing}
    damaged = damaged_blobs([t for t in found if t.host.name in answering], mark=False)
    hosts = tuple(replace(each, differs=each.differs + damaged.get(each.host, ())) for each in look.hosts)
    return replace(look, hosts=hosts, damaged={host: damaged.get(host, ()) for host in answering})


def _alerts(site: Inventory) -> Look:
    monitors = tuple(host for host in site.whole.hosts if MONITOR_GROUP in host.groups)
    try:
        watched = targets(replace(site, hosts=monitors)) if monitors else ()
        running = tuple(each.host for each in watched if _IMAGE in each.stored.lock.release.images)
        if not running:
            return Look((), None)
        fire = firing(running, int(time.time()))
    except SealiftError as error:
        return Look((), None, unknown=str(error))
    return Look((), tuple(alert for alert in fire if alert.host in site.names))
