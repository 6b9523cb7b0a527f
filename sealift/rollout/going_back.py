"""Hosts go back in waves, by hand: behind front doors, which send those that are at it nothing meanwhile.

Going back matters more than a request: what keeps a host from being drained is told, and it goes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import chain

from sealift.errors import SealiftError
from sealift.fleet import back, generations
from sealift.fleet.back import Outcome
from sealift.fleet.host_lock import held_already
from sealift.fleet.recorded import differences
from sealift.live.drain import Fronts, running_by_door, set_drained, sick_by_door
from sealift.live.push import Pushed
from sealift.live.stand_in import told_idle, until_idle
from sealift.rollout.back_order import Turn, turn, unanswered
from sealift.rollout.way_back import Way
from sealift.site.drained import read_drained
from sealift.site.inventory import Inventory

_READY_S = 60  # that front doors, which ask every 2 s, get to find a host well that went back
_PAUSE_S = 1  # between two looks at that


@dataclass(frozen=True)
class Heard:
    """Who is told of it.

    + line: takes what is done, and what came of it
    + wrong: takes what the operator should know at once
    + outcome: takes what came of a host
    + waiting: shows what is waited for, as long as it lasts
    """

    line: Callable[[str], None]
    wrong: Callable[[str], None]
    outcome: Callable[[str, Outcome], None]
    waiting: Callable[[str], AbstractContextManager[Callable[[str], None]]]


def roll_back_in_waves(way: Way, heard: Heard) -> Mapping[str, Outcome]:
    """Have hosts go back, wave by wave; gives what came of each.

    Cut off, it undrains what it drained and has not had go back, and tells of the others.

    Raises SealiftError where another rollout is running.
    """
    with back.all_held(way.site, way.doors), ThreadPoolExecutor(1) as teller:
        going = _Going(way, heard, teller)
        try:
            going.all()
        except BaseException:
            going.cut_off()
            raise
    return {name: going.outcomes[name] for name in way.site.names}


class _Going:
    """Hosts on their way back."""

    def __init__(self, way: Way, heard: Heard, teller: ThreadPoolExecutor) -> None:
        """+ teller: tells front doors, one thing after the other, also where the first was interrupted."""
        self._way, self._heard, self._teller = way, heard, teller
        self._settings = way.site.whole.hosts[0].settings.rollout
        self._at = dict(way.at)
        # Once more, since nobody else can drain one any more.
        away = frozenset(name for name, host in way.at.items() if name in read_drained(host.settings))
        self._order = replace(way.order, away=away)
        self._drained: set[str] = set()  # by this, and not undrained yet
        self._under_way: set[str] = set()
        self._failed: set[str] = set()
        self._silent: set[str] = set()  # front doors that did not answer
        self.outcomes: dict[str, Outcome] = {}

    @property
    def _now(self) -> Inventory:
        """The site as it stands."""
        return replace(self._way.site.whole, hosts=tuple(self._at.values()), site=())

    def all(self) -> None:
        """Go through all waves; then hosts one by one that nobody could stand in for in their wave."""
        later: list[str] = []
        for number, wave in enumerate(self._order.waves, 1):
            now = turn(self._order, wave, self._failed, self._sick())
            later += now.later
            if now.drained or now.as_they_are:
                self._go(f"wave {number} of {len(self._order.waves)}", now)
        self._silent.clear()  # they may answer by now
        for host in later:
            sick = self._sick()
            now = turn(self._order, (host,), self._failed, sick)
            if now.later:
                self._leave(host, unanswered(self._order, host, self._failed, sick))
            else:
                self._go("put off until others were back", now)

    def _leave(self, host: str, names: Collection[str]) -> None:
        current = self._way.stands[host].current
        why = (
            f"{host}: was left as it is: no other host answers {', '.join(names)} by now. Look at those that "
            "should, and run this again; or have it go back all the same: sealift rollback "
            f"{self._way.site.name} --limit {host} --at-once"
        )
        self._ended(host, Outcome(current.release if current else "", error=why))

    def _go(self, called: str, now: Turn) -> None:
        """Drain hosts, have all of a turn go back, and undrain those that are whole."""
        now = self._spared(now)
        hosts = (*now.drained, *now.as_they_are)
        self._heard.line(f"{called}: {', '.join(hosts)}")
        for host in now.as_they_are:
            if names := self._order.alone(host):
                self._heard.line(f"  {host} is not drained: no other host answers {', '.join(names)}")
        if now.drained:
            self._timed("draining", lambda: self._drain(now.drained))
        found: dict[str, Outcome] = {}
        self._under_way |= {*hosts}
        self._timed("going back", lambda: self._go_back(hosts, found))
        for host, outcome in found.items():
            if outcome.ok:
                self._at[host] = self._way.then[host]
                self._under_way.discard(host)
            else:
                self._failed.add(host)
            self._ended(host, replace(outcome, stays_drained=host in now.drained and not outcome.ok))
            if host in self._order.away:  # by the operator, or by a run of this that was killed
                self._heard.line(f"{host}: was drained before, and stays so: {self._commands([host])}")
        if whole := [host for host in now.drained if found[host].ok]:
            self._timed("undraining", lambda: self._undrain(whole))
        elif {*hosts} & (self._order.answers.keys() | self._order.doors):
            self._tell((), drained=False)  # they answer what they answered then

    def _spared(self, now: Turn) -> Turn:
        """The same, but that those are not drained that are back already: nothing is made anew there.

        One may have been cut off on its way, and be in force without running: so its record decides.
        """
        stood = ((host, self._way.stands[host]) for host in now.drained)
        in_force = [
            self._at[host]
            for host, each in stood
            if each.current and (to := each.back(self._way.to)) and each.current.id == to.id
        ]
        found = differences(in_force).results if in_force else {}
        whole = tuple(host for host in now.drained if found.get(host) == ())
        drained = tuple(host for host in now.drained if host not in whole)
        return replace(now, drained=drained, as_they_are=(*now.as_they_are, *whole))

    def _timed(self, what: str, act: Callable[[], str]) -> None:
        started = time.monotonic()
        said = act()
        self._heard.line(f"{f'  {what}':<14} {time.monotonic() - started:.1f} s  {said}".rstrip())

    def _ended(self, host: str, outcome: Outcome) -> None:
        self.outcomes[host] = outcome
        self._heard.outcome(host, outcome)

    def _drain(self, hosts: Sequence[str]) -> str:
        self._drained |= {*hosts}  # before anybody is told: cut off from here on, they are undrained
        told = {each.host for each in self._tell(hosts, drained=True) if each.confirmed}
        if not told:
            return "no front door confirms it: hosts go back all the same"
        within_s = self._settings.drain_s
        with self._heard.waiting("waiting for what still runs") as now:
            left = until_idle(lambda: self._running(told, hosts), hosts, within_s, now)
        if told <= self._silent:
            return "front doors do not say what still runs there: hosts go back all the same"
        return told_idle(hosts, left, within_s)

    def _tell(self, hosts: Collection[str], drained: bool) -> tuple[Pushed, ...]:
        """Tell every front door; says what is wrong with one. Gives what came of it."""
        site = self._now
        chosen = [host for host in site.hosts if host.name in hosts]
        try:
            with self._heard.waiting("telling the front doors"):
                pushed = self._teller.submit(set_drained, site, chosen, drained, held_already).result()
        except (SealiftError, OSError) as error:  # such as a full disk of the control node
            self._heard.wrong(str(error))
            return ()
        for each in pushed:
            if not each.ok:
                self._heard.wrong(f"{each.host}: {each.problem}")
        self._silent -= {each.host for each in pushed if each.confirmed}
        return pushed

    def _undrain(self, hosts: Sequence[str]) -> str:
        pushed = self._tell(hosts, drained=False)
        self._drained -= {*hosts}
        if not pushed or not all(each.ok for each in pushed):
            self._heard.wrong(f"Once the front doors answer: {self._commands(hosts)}")
        end = time.monotonic() + _READY_S
        with self._heard.waiting("waiting until front doors find them well"):
            while sick := {*hosts} & {*chain(*self._sick().values())}:
                if time.monotonic() > end:
                    return f"front doors do not find {', '.join(sorted(sick))} well after {_READY_S} s"
                time.sleep(_PAUSE_S)
        return ""

    def _go_back(self, hosts: Sequence[str], found: dict[str, Outcome]) -> str:
        """+ found: takes what came of each."""
        with self._heard.waiting(f"going back: {', '.join(hosts)}"):
            targets = {host: self._to(host) for host in hosts}
            for to in dict.fromkeys(targets.values()):
                found |= back.went_back([self._at[host] for host in hosts if targets[host] == to], to)
        whole = sum(each.ok for each in found.values())
        return f"{whole} of {len(hosts)} are what their records say"

    def _to(self, host: str) -> str | None:
        """The id of the generation that a host goes back to; a front door's changes as others are drained."""
        stood, to = self._way.stands[host], self._way.to
        if to is None or (stood.previous and stood.previous.id == to):
            return None
        if stood.current and stood.current.id == to:
            now = generations.stands([self._at[host]]).results.get(host)
            return now.current.id if now and now.current else to
        return to

    def _running(self, doors: set[str], hosts: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        found = running_by_door(self._fronts(doors - self._silent), hosts)
        for door, error in found.errors.items():
            self._silent.add(door)
            self._heard.wrong(f"{error}\n{door}: what runs through it is not waited for.")
        return found.results

    def _sick(self) -> Mapping[str, frozenset[str]]:
        """Hosts that each front door sends nothing, though nobody has drained them."""
        found = sick_by_door(self._fronts(self._order.doors - self._silent))
        self._silent |= found.errors.keys()
        drained = self._drained | self._order.away
        return {door: hosts - drained for door, hosts in found.results.items()}

    def _fronts(self, doors: Collection[str]) -> Fronts:
        now = self._now
        return Fronts(replace(now, hosts=tuple(h for h in now.hosts if h.name in doors)), ())

    def cut_off(self) -> None:
        """Undrain hosts that are whole, and tell of those that are not, or may not be."""
        for host in sorted(self._under_way - self.outcomes.keys()):
            again = f"sealift rollback {self._way.site.name} --limit {host}"
            if host in self._drained:
                self._heard.wrong(
                    f"{host}: was going back, goes on with it by itself, and stays drained. When {again} "
                    f"finds it whole: {self._commands([host])}"
                )
            else:
                self._heard.wrong(
                    f"{host}: was going back, and goes on with it by itself. Whether it is whole: {again}"
                )
        whole = sorted(self._drained - self._under_way)
        if not whole:
            return
        try:
            pushed = self._tell(whole, drained=False)
        except BaseException:
            self._heard.wrong(f"This may still be to do: {self._commands(whole)}")
            raise
        if pushed and all(each.ok for each in pushed):
            self._heard.line(f"undrained, since this was cut off: {', '.join(whole)}")
        else:
            self._heard.wrong(f"Once the front doors answer: {self._commands(whole)}")

    def _commands(self, hosts: Collection[str]) -> str:
        return "; ".join(f"sealift undrain {self._way.site.name} {host}" for host in hosts)
