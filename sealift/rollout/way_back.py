"""How the hosts of a site go back behind its front doors: what is known of it before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sealift.depot.activation import reading
from sealift.errors import SealiftError
from sealift.fleet import generations
from sealift.fleet.generations import Kept, Stands
from sealift.live.drain import NoFrontError, fronts_of
from sealift.rollout.back_order import Order, order_of
from sealift.service import in_groups
from sealift.services import FRONT
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
    if not any(in_groups(host.groups, FRONT.groups) for host in whole.hosts):
        return None
    others = tuple(host for host in whole.hosts if host.name not in stands)
    known = {**generations.stands(others).results, **stands} if others else stands
    at = {h.name: _by(h, known[h.name].current if h.name in known else None) for h in whole.hosts}
    then = {
        h.name: _by(at[h.name], stands[h.name].back(to) if h.name in stands else None) for h in whole.hosts
    }
    try:
        before, after = (fronts_of(replace(whole, hosts=tuple(hosts.values()))) for hosts in (at, then))
    except NoFrontError:
        return None
    doors = {*before.doors.names, *after.doors.names}
    settings = whole.hosts[0].settings.rollout
    order = order_of(site.names, len(whole.hosts), before.fleet, after.fleet, doors, settings)
    return Way(site, order, stands, at, then, to)


def _by(host: Host, kept: Kept | None) -> Host:
    """A host by the release of a generation; as it was where there is none, or the depot lacks it."""
    if kept is None:
        return host
    release = f"{kept.release.partition(':')[0]}@{kept.bundle}"
    try:
        reading(host.settings.depot).resolve(release)
    except SealiftError:
        return host
    return replace(host, settings=host.settings.model_copy(update={"release": release}))
