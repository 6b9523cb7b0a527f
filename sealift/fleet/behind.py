"""The hosts of a site as its front doors see them: out of inventory, releases and what is drained."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sealift.depot.store import Depot, StoredRelease
from sealift.errors import SealiftError
from sealift.host.behind import Behind, behind
from sealift.site.drained import read_drained
from sealift.site.inventory import Host
from sealift.ssh import on_all


def stored_releases(hosts: Iterable[Host]) -> Mapping[tuple[Path, str], StoredRelease]:
    """The releases of hosts, by depot and name. Raises SealiftError where a depot lacks one."""
    wanted = {(host.settings.depot, host.settings.release) for host in hosts}
    return {(depot, release): Depot(depot).resolve(release) for depot, release in sorted(wanted)}


def hosts_behind(hosts: Sequence[Host]) -> tuple[Behind, ...]:
    """Those of a site's hosts that answer roles.

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

    return tuple(found for found in on_all(list(by_name), look).all().values() if found)


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
            f"address, which front doors need. Write it as HostName into {host.settings.ssh_config_file}."
        ) from None
