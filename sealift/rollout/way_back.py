"""How the hosts of a site go back behind its front doors: what is known of it before anything is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sealift.fleet import generations
from sealift.fleet.behind import may_have_fronts
from sealift.fleet.generations import Stands
from sealift.fleet.in_force import by_generations, in_force
from sealift.live.drain import NoFrontError, fronts_of
from sealift.rollout.back_order import Order, order_of
from sealift.site.inventory import Host, Inventory


@dataclass(frozen=True)
class Way:
    """How the hosts of a site go back.

    + site: those that do
    + at: each host of the site by the release that it runs, as far as the depot has it
    + then: by the release that it goes back to
    + to: id of a generation; else the last good one of each host
    """

    site: Inventory
    order: Order
    stands: Mapping[str, Stands]
    at: Mapping[str, Host]
    then: Mapping[str, Host]
    to: str | None

    @property
    def doors(self) -> tuple[Host, ...]:
        """The front doors."""
        return tuple(host for host in self.site.whole.hosts if host.name in self.order.doors)


def way_back(site: Inventory, stands: Mapping[str, Stands], to: str | None) -> Way | None:
    """How hosts go back in waves; None where the site has no front door. Changes nothing.

    Front doors are told what hosts answer by the releases that these run, whatever the inventory names.

    + stands: of the hosts that go back
    + to: id of a generation; else the last good one of each host

    Raises SealiftError where what is behind the front doors is not known.
    """
    whole = site.whole
    if not may_have_fronts(whole.hosts):
        return None
    others = tuple(host for host in whole.hosts if host.name not in stands)
    known = {**generations.stands(others, generations.SHORT_S).results, **stands} if others else stands
    at = in_force(whole, known)
    then = by_generations(at.hosts, {name: each.back(to) for name, each in stands.items()})
    try:
        before, after = fronts_of(at), fronts_of(replace(at, hosts=then))
    except NoFrontError:
        return None
    doors = {*before.doors.names, *after.doors.names}
    settings = whole.hosts[0].settings.rollout
    order = order_of(site.names, len(whole.hosts), before.fleet, after.fleet, doors, settings)
    return Way(site, order, stands, _named(at.hosts), _named(then), to)


def _named(hosts: Iterable[Host]) -> dict[str, Host]:
    return {host.name: host for host in hosts}
