"""Goes through a rollout: asks the course what comes next, has it done, and writes down that it was.

Killed at any moment, it goes on by the journal: a step that began and did not end is done again, with what
was noted when it first began.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol

from sealift.errors import SealiftError
from sealift.rollout.course import End, Gate, Step, next_step
from sealift.rollout.events import Began, Closed, Ended, Event, Judged, Opened, Resumed
from sealift.rollout.journal import Journal


@dataclass(frozen=True)
class Done:
    """What came of a step.

    + failed: hosts, and in a sentence why
    + said: what else there is to know, for people
    + evidence: folder of a verification
    """

    failed: Mapping[str, str] = field(default_factory=dict)
    said: str = ""
    evidence: str = ""


class Acts(Protocol):
    """Does the steps."""

    def wait(self, step: Step, events: list[Event]) -> None:
        """Wait until a step may begin. Changes nothing."""

    def notes(self, step: Step, events: list[Event]) -> Mapping[str, str]:
        """What has to be known of each host where this step is cut off. Changes nothing."""

    def do(self, step: Step, notes: Mapping[str, str], events: list[Event]) -> Done:
        """Do a step. It may have been done before, in part or as a whole.

        + notes: of this step, when it first began
        """

    def returned(self, hosts: tuple[str, ...]) -> frozenset[str]:
        """Those of some hosts that went back by themselves since they were armed."""


def go(journal: Journal, acts: Acts, tell: Callable[[Event], None]) -> Closed:
    """Go through a rollout to its end.

    + journal: its first event opens it
    + tell: takes each event as it is written
    """

    def note(event: Event) -> None:
        journal.add(event)
        tell(event)

    while (step := next_step(journal.events)) is not None:
        if isinstance(step, Gate):
            note(Judged(at=_now(), wave=step.wave, passed=not step.sentence, sentence=step.sentence))
        elif isinstance(step, End):
            outcome: Literal["failed", "done"] = "failed" if step.sentence else "done"
            note(Closed(at=_now(), outcome=outcome, sentence=step.sentence))
        else:
            _do(step, journal, acts, note)
    last = journal.events[-1]
    if not isinstance(last, Closed):  # for the type checker: the course ends with it
        raise AssertionError
    return last


def _do(step: Step, journal: Journal, acts: Acts, note: Callable[[Event], None]) -> None:
    started = time.monotonic()
    begun = step.begun
    if begun is None:
        acts.wait(step, journal.events)
        notes = dict(acts.notes(step, journal.events))
        begun = Began(at=_now(), wave=step.wave, phase=step.phase, hosts=step.hosts, notes=notes)
        note(begun)
    try:
        done = acts.do(step, begun.notes, journal.events)
    except SealiftError as error:  # it is about all of them
        done = Done(dict.fromkeys(step.hosts, str(error).splitlines()[0]))
    note(
        Ended(
            at=_now(),
            wave=step.wave,
            phase=step.phase,
            seconds=round(time.monotonic() - started, 2),
            failed=dict(done.failed),
            said=done.said,
            evidence=done.evidence,
        )
    )


def resume(journal: Journal, acts: Acts, who: str, abandon: bool, tell: Callable[[Event], None]) -> None:
    """Say in the journal that it goes on. A wave of which a host went back by itself is done anew.

    + abandon: whether what was begun is undone instead
    """
    step = next_step(journal.events)
    again = False
    if isinstance(step, Step | Gate) and not abandon:
        armed = _armed(journal.events, step)
        again = bool(armed and acts.returned(armed))
    event = Resumed(at=_now(), who=who, again=again, abandon=abandon)
    journal.add(event)
    tell(event)


def _judged(events: list[Event], wave: int) -> bool:
    return any(isinstance(event, Judged) and event.wave == wave for event in events)


def _armed(events: list[Event], step: Step | Gate) -> tuple[str, ...]:
    """Hosts that wait to be confirmed, before the gate of their wave."""
    if _judged(events, step.wave):
        return ()
    ended = {e.phase: e for e in events if isinstance(e, Ended) and e.wave == step.wave}
    if "arm" not in ended:
        return ()
    opened = events[0]
    if not isinstance(opened, Opened):
        raise AssertionError
    lost = {host for event in ended.values() for host in event.failed}
    return tuple(host for host in opened.waves[step.wave] if host not in lost)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
