"""What comes next in a rollout, by what its journal tells. Nothing here acts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sealift.rollout.events import Began, Closed, Ended, Event, Judged, Opened, Phase, Resumed

FORWARD: tuple[Phase, ...] = ("drain", "arm", "apply", "verify", "undrain", "soak")


@dataclass(frozen=True)
class Step:
    """Something to do.

    + wave: its number, from 0
    + hosts: to do it for
    + begun: what was noted when it was begun before and cut off; None where it was not
    """

    phase: Phase
    wave: int
    hosts: tuple[str, ...]
    begun: Began | None = None


@dataclass(frozen=True)
class Gate:
    """A verdict to write down.

    + sentence: why the wave has not passed; empty where it has
    """

    wave: int
    sentence: str


@dataclass(frozen=True)
class End:
    """The rollout is over.

    + sentence: why it failed; empty where it is done
    """

    sentence: str


def next_step(events: Sequence[Event]) -> Step | Gate | End | None:
    """What to do next; None where the rollout is closed.

    + events: of the journal, the first of which opens it
    """
    if isinstance(events[-1], Closed):
        return None
    return _Course(events).next()


def failures(events: Sequence[Event]) -> dict[str, str]:
    """The hosts that failed in a rollout, and in a sentence why."""
    return _Course(events).failed


def may_still_fail(events: Sequence[Event]) -> int:
    """How many more hosts may fail before the rollout goes no further; of the canary none may."""
    course = _Course(events)
    is_canary = course.opened.canary and course.last == 0
    return 0 if is_canary else course.opened.allowed - len(course.failed)


def ours(events: Sequence[Event]) -> frozenset[str]:
    """Hosts that this rollout drains: others were drained by somebody, and stay so."""
    began = (event for event in events if isinstance(event, Began) and event.phase in ("drain", "leave"))
    return frozenset(host for event in began for host in event.notes)


def armed_with(events: Sequence[Event], wave: int) -> Mapping[str, str]:
    """What was noted of the hosts of a wave before they were changed."""
    began = (e for e in events if isinstance(e, Began) and (e.wave, e.phase) == (wave, "arm"))
    first = next(began, None)
    return first.notes if first else {}


class _Course:
    """The events, looked at."""

    def __init__(self, events: Sequence[Event]) -> None:
        if not isinstance(events[0], Opened):  # Journal.opened has told so
            raise AssertionError
        self.opened = events[0]
        self.failed = dict(self.opened.failed)
        self._failed_in: dict[str, Phase] = {}
        self._ended: dict[tuple[int, Phase], Ended] = {}
        self._began: dict[tuple[int, Phase], Began] = {}
        self._judged: dict[int, Judged] = {}
        self.abandoned = ""
        self.last = 0  # wave that was begun last
        for event in events:
            self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, Began):
            self._began[event.wave, event.phase] = event
            self.last = max(self.last, event.wave)
        elif isinstance(event, Ended):
            self._ended[event.wave, event.phase] = event
            for host, why in event.failed.items():
                self.failed.setdefault(host, why)
                self._failed_in.setdefault(host, event.phase)
        elif isinstance(event, Judged):
            self._judged[event.wave] = event
        elif isinstance(event, Resumed) and event.abandon:
            self.abandoned = f"was abandoned by {event.who}"
        elif isinstance(event, Resumed) and event.again:
            for phase in FORWARD:
                self._ended.pop((self.last, phase), None)
                self._began.pop((self.last, phase), None)

    def next(self) -> Step | Gate | End:
        waves = self.opened.waves
        if not self._has(0, "ship"):
            if self.abandoned:
                return End(self.abandoned)
            return self._step("ship", 0, tuple(host for wave in waves for host in wave))
        if "ship" in self._failed_in.values() and self._too_many(-1):
            return End(self._sentence(self.failed))
        for wave in range(len(waves)):
            judged = self._judged.get(wave)
            if judged is None:
                return self._forward(wave)
            step = self._passed(wave) if judged.passed else self._back(wave)
            if step is not None:
                return step
            if not judged.passed:
                return End(judged.sentence)
            if self._too_many(wave):  # one was lost before it was confirmed
                return End(self._sentence({h: w for h, w in self.failed.items() if h in waves[wave]}))
        return End("")

    def _forward(self, wave: int) -> Step | Gate | End:
        """Up to the gate."""
        hosts = self.opened.waves[wave]
        failing = {host: self.failed[host] for host in hosts if host in self.failed}
        active = tuple(host for host in hosts if host not in self.failed)
        if self.abandoned:
            begun = any((wave, phase) in self._began for phase in FORWARD)
            return Gate(wave, self.abandoned) if begun else End(self.abandoned)
        if self._too_many(wave):
            return Gate(wave, self._sentence(failing or self.failed))
        for phase in FORWARD if active else ():
            if not self._has(wave, phase):
                return self._step(phase, wave, active)
        return Gate(wave, "")

    def _passed(self, wave: int) -> Step | None:
        """After a gate that was passed: confirm the hosts; those that failed go back alone."""
        hosts = self.opened.waves[wave]
        good = tuple(h for h in hosts if h not in self.failed or self._failed_in.get(h) == "confirm")
        if good and not self._has(wave, "confirm"):
            return self._step("confirm", wave, good)
        bad = tuple(host for host in hosts if host in self.failed)
        return self._return(wave, bad) if bad else None

    def _back(self, wave: int) -> Step | None:
        """After a gate that was not."""
        policy, hosts = self.opened.on_failure, self.opened.waves[wave]
        if policy == "stop":
            changed = tuple(host for host in hosts if self._changed(wave, host))
            if changed and not self._has(wave, "confirm"):
                return self._step("confirm", wave, changed)
            good = tuple(host for host in hosts if host not in self.failed)
            return self._once("return", wave, good)
        for each in range(wave, -1, -1) if policy == "all" else (wave,):
            hosts = tuple(h for h in self.opened.waves[each] if each == wave or h not in self.failed)
            if each != wave and (step := self._once("leave", each, hosts)):
                return step
            if step := self._return(each, hosts):
                return step
        return None

    def _return(self, wave: int, hosts: tuple[str, ...]) -> Step | None:
        """Hosts go back, and are given requests again where that worked."""
        changed = tuple(host for host in hosts if self._changed(wave, host))
        if step := self._once("back", wave, changed):
            return step
        ended = self._ended.get((wave, "back"))
        lost = ended.failed if ended else {}
        return self._once("return", wave, tuple(host for host in hosts if host not in lost))

    def _once(self, phase: Phase, wave: int, hosts: tuple[str, ...]) -> Step | None:
        return self._step(phase, wave, hosts) if hosts and not self._has(wave, phase) else None

    def _changed(self, wave: int, host: str) -> bool:
        """Whether it may be another than before the rollout. One that was not armed would go back too far."""
        began = (wave, "arm") in self._began or (wave, "arm") in self._ended
        return began and self._failed_in.get(host, "apply") not in ("ship", "drain", "arm")

    def _has(self, wave: int, phase: Phase) -> bool:
        return (wave, phase) in self._ended

    def _step(self, phase: Phase, wave: int, hosts: tuple[str, ...]) -> Step:
        begun = self._began.get((wave, phase))
        return Step(phase, wave, begun.hosts if begun else hosts, begun)

    def _too_many(self, wave: int) -> bool:
        """Whether so many failed that it goes no further."""
        canary = self.opened.canary and wave == 0
        if canary and any(host in self.failed for host in self.opened.waves[0]):
            return True
        later = {host for hosts in self.opened.waves[wave + 1 :] for host in hosts}
        counted = [h for h in self.failed if h not in later or self._failed_in.get(h) == "ship"]
        return len(counted) > self.opened.allowed

    def _sentence(self, failed: dict[str, str]) -> str:
        """The first that failed, and how many more did."""
        host, why = next(iter(failed.items()))
        more = len(failed) - 1
        return f"{host}: {why}" + (f" (and {more} more of its hosts)" if more else "")
