"""Preflight: nothing is changed on any host before every host can take its release."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

import gevent
from gevent.lock import RLock
from pyinfra import state
from pyinfra.api import Host, deploy
from pyinfra.api.exceptions import DeployError
from pyinfra.context import ctx_config, ctx_host

from sealift.depot.needed import needed_blobs
from sealift.errors import SealiftError
from sealift.facts.host_store import HostStore
from sealift.facts.preflight import Probe
from sealift.host.preflight import check, parse_probe
from sealift.ship.plan import parse_listing, plan
from tasks.site import site_of

_ONE_AT_A_TIME = RLock()


@deploy("Preflight")
def check_fleet() -> None:
    """Refuse the whole run with the problems of all hosts, not only of the first that has one.

    This is done while pyinfra prepares and not by an operation: pyinfra prepares every host before it changes
    the first, with --dry, -y, --serial and --no-wait alike. Whichever host comes first checks them all.
    """
    with _ONE_AT_A_TIME:
        problems = _problems_of_all()
    if problems:
        raise DeployError("\n".join(("refused, and nothing was changed on any host.", *problems)))


@cache
def _problems_of_all() -> tuple[str, ...]:
    checks = [
        gevent.spawn(_problems_of, host) for host in sorted(state.inventory.get_active_hosts(), key=str)
    ]
    gevent.joinall(checks, raise_error=True)
    return tuple(line for check in checks for line in check.value)


def _problems_of(host: Host) -> tuple[str, ...]:
    """What is wrong with a host, a line each, with the host's name in front."""
    with ctx_config.use(state.config.copy()), ctx_host.use(host):
        try:
            here = site_of(host)
            listing: list[str] = host.get_fact(HostStore)
            to_ship = plan(needed_blobs(here.lock, here.groups), parse_listing(host.name, listing))
            said: list[str] = host.get_fact(Probe)
            facts = parse_probe(host.name, "\n".join(said))
        except SealiftError as error:
            return tuple(
                f"{host.name}: {line.removeprefix(f'{host.name}: ')}" for line in str(error).splitlines()
            )
        problems = check(
            host.name, facts, here.settings, here.lock, here.groups, to_ship.bytes_total, datetime.now(UTC)
        )
        return tuple(str(problem) for problem in problems)
