"""The hosts of a site as its front doors, and those that watch, see them.

It comes out of inventory, releases and what is drained; no host is asked.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from sealift.depot.activation import reading
from sealift.depot.store import StoredRelease
from sealift.errors import SealiftError
from sealift.host.behind import Behind, behind
from sealift.host.fleet import Fleet
from sealift.host.watched import Watched, watched
from sealift.service import Service, in_groups
from sealift.services import FRONT, PROMETHEUS
from sealift.site.drained import read_drained
from sealift.site.inventory import Host
from sealift.ssh import on_all


def stored_releases(hosts: Iterable[Host]) -> Mapping[tuple[Path, str], StoredRelease]:
    """The releases of hosts, by depot and name. Raises SealiftError where a depot lacks one."""
    wanted = {(host.settings.depot, host.settings.release) for host in hosts}
    return {(depot, release): reading(depot).resolve(release) for depot, release in sorted(wanted)}


def hosts_behind(hosts: Sequence[Host]) -> tuple[Behind, ...]:
    """Those of a site's hosts that answer roles, by name: pyinfra has hosts in another order than status.

    Which roles a host serves does not depend on its memory: that decides which model answers, and preflight
    refuses a host that none fits. So no host is asked, and it is the same for every front door.

    + hosts: all of the site

    Raises SealiftError where a host's release is not in the depot, or its address is not known.
    """
    stored = stored_releases(hosts)
    by_name = {host.name: host for host in hosts}

    def look(name: str) -> Behind | None:
        host = by_name[name]
        return behind(
            name,
            host.groups,
            host.settings,
            stored[host.settings.depot, host.settings.release].lock,
            address=address_of(host),
            drained=name in read_drained(host.settings),
        )

    return tuple(found for found in on_all(sorted(by_name), look).all().values() if found)


def hosts_watched(hosts: Sequence[Host]) -> tuple[Watched, ...]:
    """A site's hosts as Prometheus sees them, by name: those that show figures.

    + hosts: all of the site

    Raises SealiftError where a host's release is not in the depot, or its address is not known.
    """
    stored = stored_releases(hosts)
    by_name = {host.name: host for host in hosts}

    def look(name: str) -> Watched:
        host = by_name[name]
        lock = stored[host.settings.depot, host.settings.release].lock
        return watched(name, host.groups, host.settings, lock, address_of(host))

    return tuple(found for found in on_all(sorted(by_name), look).all().values() if found.targets)


def has_service(host: Host, stored: StoredRelease, service: Service) -> bool:
    """Whether a host with this release runs a service."""
    return service in stored.lock.release.services_for(host.groups)


def may_have_fronts(hosts: Iterable[Host]) -> bool:
    """Whether one of some hosts is a front door by its groups, whatever its release."""
    return any(in_groups(host.groups, FRONT.groups) for host in hosts)


class Fleets:
    """What each host of a site has to know of the others; nobody is asked before one has to know."""

    def __init__(self, hosts: Callable[[], Sequence[Host]]) -> None:
        """+ hosts: gives all of the site."""
        self._behind = cache(lambda: hosts_behind(hosts()))
        self._watched = cache(lambda: hosts_watched(hosts()))

    def of(self, host: Host, stored: StoredRelease) -> Fleet:
        """What a host with this release has to know.

        Raises SealiftError as `hosts_behind` does.
        """
        return Fleet(
            self._behind() if has_service(host, stored, FRONT) else (),
            self._watched() if has_service(host, stored, PROMETHEUS) else (),
        )


def address_of(host: Host) -> str:
    """The IP address of a host: Envoy takes no names, and gateways listen on IPv4.

    Raises SealiftError where it is not known here.
    """
    address = host.ssh.address()
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(address, None, socket.AF_INET, socket.SOCK_STREAM)
        return str(min(each[4][0] for each in found))  # a name may have several, in another order each time
    except OSError as error:
        raise SealiftError(
            f"{host.name}: its address {address} is not known here ({error.strerror}), expected an IP "
            "address, which front doors and Prometheus need. Write it as HostName into "
            f"{host.settings.ssh_config_file}."
        ) from None
