"""In which order hosts go back behind front doors, and who is drained meanwhile. Nothing here acts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sealift.host.behind import Behind
from sealift.host.rollout_settings import RolloutSettings
from sealift.live.stand_in import replaceable
from sealift.rollout.waves import DOOR, waves

Sick = Mapping[str, Collection[str]]  # by front door that answers, hosts that it does not find well


@dataclass(frozen=True)
class Order:
    """In which order hosts go back.

    + waves: of hosts, one after the other
    + answers: by host that front doors send requests to, what it answers before and after it goes back
    + doors: the front doors
    + away: hosts that somebody has drained: they stand in for nobody, and stay drained
    """

    waves: tuple[tuple[str, ...], ...]
    answers: Mapping[str, frozenset[str]]
    doors: frozenset[str]
    away: frozenset[str]

    def wave_of(self, host: str) -> int:
        """The number of its wave, from 1."""
        return next(number for number, wave in enumerate(self.waves, 1) if host in wave)

    def drains(self, host: str) -> bool:
        """Whether a host is drained while it goes back, as far as is known beforehand."""
        return host in self.answers and host not in self.away and not self.alone(host)

    def alone(self, host: str) -> tuple[str, ...]:
        """What no other host answers, however well all are: so the host cannot be drained."""
        if host not in self.answers or host in self.away:
            return ()
        others = {n for each in self.answers.keys() - self.away - {host} for n in self.answers[each]}
        return tuple(sorted(self.answers[host] - others))


@dataclass(frozen=True)
class Turn:
    """What becomes of the hosts of a wave when it is their turn.

    + drained: go back, and are drained meanwhile
    + as_they_are: go back as well: drained already, sent nothing in any case, or alone with a role
    + later: others can stand in for them, but not now
    """

    drained: tuple[str, ...]
    as_they_are: tuple[str, ...]
    later: tuple[str, ...]


def order_of(
    hosts: Sequence[str],
    total: int,
    fleet: Iterable[Behind],
    after: Iterable[Behind],
    doors: Iterable[str],
    settings: RolloutSettings,
) -> Order:
    """The order, as a rollout of these settings would take it. What goes away with its release needs nobody.

    + hosts: that go back
    + total: hosts of the site
    + fleet: hosts of the site as front doors see them
    + after: the same, once those that go back have gone
    """
    fleet = tuple(fleet)
    then = {each.name: frozenset(each.names) for each in after}
    answers = {each.name: frozenset(each.names) & then.get(each.name, frozenset()) for each in fleet}
    away, doors = frozenset(each.name for each in fleet if each.drained), frozenset(doors)
    roles = {host: names for host, names in answers.items() if host not in away}
    known = {host: roles.get(host, frozenset()) for host in (*hosts, *roles, *doors)}
    with_doors = {host: names | {DOOR} if host in doors else names for host, names in known.items()}
    return Order(waves(hosts, total, with_doors, settings), answers, doors, away)


def turn(order: Order, wave: Sequence[str], failed: Collection[str], sick: Sick) -> Turn:
    """What becomes of a wave.

    A front door sends nothing to a host that is sick: nobody has to stand in for it there, and it stands in
    for nobody. Another one may reach it. So it is with front doors that do not answer: nobody comes to them.

    + failed: hosts that did not go back
    """
    views = _views(sick)
    shared = {
        host: names - {*order.alone(host)}
        for host, names in order.answers.items()
        if host not in order.away | {*failed}
    }
    seen = {
        host: {(door, name) for door, out in views.items() if host not in out for name in names}
        for host, names in shared.items()
    }
    free = replaceable(wave, seen)
    doors = replaceable(wave, {door: (DOOR,) if door in sick else () for door in order.doors - {*failed}})
    several = len(order.doors) > 1
    later = {
        host
        for host in wave
        if (host in shared and host not in free) or (several and host in order.doors and host not in doors)
    }
    to_all = {host for host in shared if all(host in out for out in views.values())}
    drained = tuple(host for host in free if host not in later and (host in to_all or not order.alone(host)))
    return Turn(
        drained=drained,
        as_they_are=tuple(host for host in wave if host not in drained and host not in later),
        later=tuple(host for host in wave if host in later),
    )


def unanswered(order: Order, host: str, failed: Collection[str], sick: Sick) -> tuple[str, ...]:
    """What nobody would answer while a host goes back, at one front door at least.

    + failed: hosts that did not go back
    """
    names = order.answers.get(host, frozenset()) if host not in order.away else frozenset()
    answering = order.doors & sick.keys()
    alone = len(order.doors) > 1 and host in answering and answering <= {*failed, host}
    missed = {DOOR} if alone else set()
    for out in _views(sick).values():
        if host not in out:
            others = order.answers.keys() - order.away - {*failed, *out, host}
            missed |= names - {name for each in others for name in order.answers[each]}
    return tuple(sorted(missed - {*order.alone(host)}))


def _views(sick: Sick) -> Sick:
    """The same; where no front door answers, hosts pass for well."""
    return sick or {DOOR: ()}
