"""The front doors of a site in a rollout: what they are told and asked of the hosts behind them.

Until the last wave, hosts run other releases than the inventory names, and some may go back: front doors
are told by what each runs at that moment.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from sealift.fleet import generations
from sealift.fleet.behind import hosts_behind, may_have_fronts
from sealift.fleet.generations import Stands
from sealift.fleet.host_lock import held_already
from sealift.fleet.in_force import by_generations, in_force
from sealift.live.drain import Fronts, NoFrontError, all_running, fronts_of, set_drained
from sealift.live.stand_in import replaceable
from sealift.site.inventory import Host, Inventory


@dataclass(frozen=True)
class _Seen:
    """A site at a moment.

    + site: its hosts by the releases that they run
    + fronts: None where none of these has a front door
    """

    site: Inventory
    stands: Mapping[str, Stands]
    fronts: Fronts | None


class FrontDoors:
    """Those of a site. The locks of its hosts are held already."""

    def __init__(self, site: Inventory) -> None:
        """+ site: all of its hosts."""
        self._site = site
        self._seen: _Seen | None = None
        self._confirmed: set[str] = set()  # those that went by what they were told last

    def look_anew(self) -> None:
        """Have hosts be asked what they run when that has to be known next: they may have changed."""
        self._seen = None

    def any(self) -> bool:
        """Whether there is one. Raises SealiftError where that is not known."""
        return self._look().fronts is not None

    def answered(self) -> bool:
        """Whether one goes by what it was told last: else none runs yet, or none answers."""
        return bool(self._confirmed)

    def to_drain(self, hosts: tuple[str, ...], ours: frozenset[str], back: bool) -> tuple[str, ...]:
        """Those that they send requests to, and can do without: somebody else answers their roles.

        What goes away with a host's release needs nobody.

        + ours: hosts that the rollout drained
        + back: whether hosts go back, and not to what the inventory names

        Raises SealiftError where it is not known.
        """
        seen = self._look()
        if seen.fronts is None:
            return ()
        mine = ours & set(hosts)  # one of another wave may be lost: nobody answers there
        open_ = {
            each.name: frozenset(each.names)
            for each in seen.fronts.fleet
            if not each.drained or each.name in mine
        }
        then = {each.name: frozenset(each.names) for each in hosts_behind(self._then(seen, hosts, back))}
        for host in open_.keys() & {*hosts}:
            open_[host] &= then.get(host, frozenset())
        return replaceable(hosts, open_)

    def _then(self, seen: _Seen, names: Collection[str], back: bool) -> tuple[Host, ...]:
        """Some hosts by the releases that they are to run next."""
        if not back:
            return _of(self._site, names)
        to = {name: each.back() for name, each in seen.stands.items()}
        return by_generations(_of(seen.site, names), to)

    def tell(self, hosts: Collection[str], drained: bool) -> str:
        """Tell all of them that hosts are drained or no more, and what each host answers.

        Gives what is wrong with one of them. Raises SealiftError where it is not known what hosts answer.
        """
        site = self._look().site
        self._confirmed = set()
        try:
            pushed = set_drained(site, _of(site, hosts), drained, hold=held_already)
        except NoFrontError:
            return ""
        self._confirmed = {each.host for each in pushed if each.confirmed}
        return next((f"{each.host}: {each.problem}" for each in pushed if not each.ok), "")

    def running(self, hosts: Collection[str]) -> Mapping[str, Mapping[str, int]]:
        """How many requests of each of those that went by what they were told hosts still work on.

        Raises SealiftError where one does not say it.
        """
        fronts = self._look().fronts
        if fronts is None:
            return {}
        return all_running(replace(fronts, doors=fronts.doors.limited(sorted(self._confirmed))), hosts)

    def _look(self) -> _Seen:
        if self._seen is None:
            stands = _stands(self._site)
            site = in_force(self._site, stands)
            try:
                fronts = fronts_of(site) if may_have_fronts(site.hosts) else None
            except NoFrontError:
                fronts = None
            self._seen = _Seen(site, stands, fronts)
        return self._seen


def releases_in_force(site: Inventory) -> tuple[str, ...]:
    """The releases that front doors may be told hosts by, as far as the depot has them.

    + site: all of its hosts
    """
    return tuple(host.settings.release for host in in_force(site, _stands(site)).hosts)


def _stands(site: Inventory) -> Mapping[str, Stands]:
    """All hosts are asked at once, where any can be a front door; those that do not answer are left out."""
    if not may_have_fronts(site.hosts):
        return {}
    return generations.stands(site.hosts, generations.SHORT_S).results


def _of(site: Inventory, names: Collection[str]) -> tuple[Host, ...]:
    return tuple(host for host in site.hosts if host.name in names)
