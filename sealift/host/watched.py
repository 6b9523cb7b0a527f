"""A host as Prometheus sees it: where its figures are."""

from __future__ import annotations

from dataclasses import dataclass

from sealift.host.settings import SiteSettings, published
from sealift.release.locked import Lock
from sealift.services import MONITOR_GROUP, PROBE


@dataclass(frozen=True)
class Target:
    """Something of a host that shows figures.

    + job: what it is, Prometheus' label `job`
    + port: TCP
    """

    job: str
    port: int


@dataclass(frozen=True)
class Watched:
    """A host that is watched.

    + name: its own in the inventory, which its certificate is for
    + address: IP address
    + probed: whether its roles are asked how they are
    + watches: whether it is one of those that watch, which alone have something to say of other hosts
    """

    name: str
    address: str
    targets: tuple[Target, ...]
    probed: bool = False
    watches: bool = False


def watched(name: str, groups: frozenset[str], settings: SiteSettings, lock: Lock, address: str) -> Watched:
    """A host as Prometheus sees it.

    + groups: of the host in the inventory
    + settings: what the inventory says
    + lock: what its release pins
    """
    targets = (
        Target(service.name, published(settings, port))
        for service in lock.release.services_for(groups)
        for port in lock.release.ports_of(service)
        if port.figures
    )
    probed = PROBE in lock.release.services_for(groups)
    return Watched(name, address, tuple(targets), probed, MONITOR_GROUP in groups)
