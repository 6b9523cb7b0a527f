"""Preflight: nothing is changed on any host before every host can take its release."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

import gevent
from gevent.lock import RLock
from pyinfra import host as current_host
from pyinfra import state
from pyinfra.api import Host
from pyinfra.api.exceptions import DeployError, PyinfraError
from pyinfra.context import ctx_config, ctx_host

from sealift.depot.activation import reading
from sealift.errors import SealiftError
from sealift.facts.host_store import HostStore
from sealift.facts.preflight import Probe
from sealift.fleet.behind import Fleets
from sealift.fleet.pyinfra_log import REFUSED
from sealift.fleet.survey import Surveyed, Target, look, with_site, with_twins
from sealift.host import settings
from sealift.host.wanted import Wanted
from sealift.operations.connection import end_when_silent
from sealift.site.inventory import Host as InventoryHost

_ONE_AT_A_TIME = RLock()


def check_fleet() -> Wanted:
    """What the current host is to be, once every host can take its release.

    This is done while pyinfra prepares and not by an operation: pyinfra prepares every host before it changes
    the first, with --dry, -y, --serial and --no-wait alike. Whichever host comes first checks them all, so
    that a refusal has the problems of all hosts, and not only of the first that has one.
    """
    with _ONE_AT_A_TIME:
        surveyed = _look_at_all()
    problems = [line for found in surveyed.values() for line in found.problems]
    if problems:
        raise DeployError("\n".join((REFUSED, *problems)))
    wanted = surveyed[current_host.name].wanted
    if wanted is None:  # for the type checker: without problems there is one
        raise AssertionError
    return wanted


@cache
def _look_at_all() -> Mapping[str, Surveyed]:
    """Look at each host once per run."""
    hosts = sorted(state.inventory.get_active_hosts(), key=str)
    looks = {host.name: gevent.spawn(_look_at, host) for host in hosts}
    gevent.joinall(list(looks.values()), raise_error=True)
    return with_twins({name: each.value for name, each in looks.items()})


def _all_hosts() -> list[InventoryHost]:
    """All hosts of the site, those that this run leaves alone too."""
    return [
        InventoryHost(host.name, frozenset(host.groups), settings.parse(host.name, host.data.dict()))
        for host in sorted(state.inventory, key=str)
    ]


_FLEETS = Fleets(_all_hosts)


def _look_at(host: Host) -> Surveyed:
    with ctx_config.use(state.config.copy()), ctx_host.use(host):
        end_when_silent(host)
        try:
            parsed = settings.parse(host.name, host.data.dict())
            stored = reading(parsed.depot).resolve(parsed.release)
            listing: list[str] = host.get_fact(HostStore, root=parsed.root)
            said: list[str] = host.get_fact(Probe, settings=parsed)
            own = InventoryHost(host.name, frozenset(host.groups), parsed)
            target = Target(own, stored, _FLEETS.of(own, stored))
            return with_site(target, look(target, "\n".join((*said, *listing)), datetime.now(UTC)))
        except (PyinfraError, EOFError):  # EOFError: pyinfra asked for sudo's password without a terminal
            return Surveyed(
                problems=(
                    f"{host.name}: could not be looked at as root, expected root's own login, or sudo that "
                    "asks for no password. Find out why: sealift preflight.",
                )
            )
        except SealiftError as error:
            lines = str(error).splitlines()
            return Surveyed(
                problems=tuple(f"{host.name}: {line.removeprefix(f'{host.name}: ')}" for line in lines)
            )
