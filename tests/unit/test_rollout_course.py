"""The course of a rollout: what happens to each host, whatever fails, and wherever the process is killed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sealift.host.rollout_settings import RolloutSettings
from sealift.rollout import engine
from sealift.rollout.course import End, Gate, Step, next_step
from sealift.rollout.events import Closed
from sealift.rollout.journal import Journal
from sealift.rollout.waves import waves
from tests.unit.rollouts import THREE, Fleet, KilledError, KillingJournal, opening

_FORWARD = ("drain", "arm", "apply", "verify", "undrain", "soak")


@pytest.fixture(autouse=True)
def _no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is killed here is a process: the disk need not be waited for, ten thousand times."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def _silent(_: object) -> None:
    return None


def _go(folder: Path, fleet: Fleet, **more: Any) -> Closed:
    journal = Journal(folder)
    journal.add(opening(**more))
    return engine.go(journal, fleet, _silent)


def test_each_wave_waits_for_the_gate_of_the_one_before(tmp_path: Path) -> None:
    fleet = Fleet()
    closed = _go(tmp_path, fleet)
    assert (closed.outcome, closed.sentence) == ("done", "")
    waves = [(p, n, (h,)) for n, h in enumerate(("h3", "h1", "h2")) for p in (*_FORWARD, "confirm")]
    assert fleet.did == [("ship", 0, ("h3", "h1", "h2")), *waves]
    assert fleet.runs == {"h1": "new", "h2": "new", "h3": "new"} and not fleet.left


@pytest.mark.parametrize("phase", ["arm", "apply", "verify", "soak"])
def test_a_canary_that_fails_goes_back_and_no_other_host_is_touched(tmp_path: Path, phase: str) -> None:
    fleet = Fleet(failing={"h3": phase})
    closed = _go(tmp_path, fleet, allowed=2)
    assert (closed.outcome, closed.sentence) == ("failed", f"h3: fails in {phase}")
    assert fleet.runs == {"h1": "old", "h2": "old", "h3": "old"} and not fleet.left
    assert {host for done, _, hosts in fleet.did if done != "ship" for host in hosts} == {"h3"}
    assert ("undrain" in [done for done, _, _ in fleet.did]) == (phase == "soak")


def test_a_host_that_was_not_shipped_to_keeps_all_from_being_touched(tmp_path: Path) -> None:
    fleet = Fleet(failing={"h1": "ship"})
    assert _go(tmp_path, fleet).sentence == "h1: fails in ship"
    assert [done for done, _, _ in fleet.did] == ["ship"]


def test_a_host_that_is_not_confirmed_goes_back(tmp_path: Path) -> None:
    """It may have gone back by itself in the middle of an apply, and be half of each."""
    fleet = Fleet(failing={"h1": "confirm"})
    assert _go(tmp_path, fleet, allowed=1).outcome == "done"
    assert fleet.runs == {"h1": "old", "h2": "new", "h3": "new"} and not fleet.left


def test_a_host_that_could_not_be_armed_is_left_as_it_is(tmp_path: Path) -> None:
    """What it would go back to is what ran before that which runs."""
    fleet = Fleet(failing={"h1": "arm"})
    fleet.hosts["h1"].good = "older"
    assert _go(tmp_path, fleet, waves=(("h3",), ("h1", "h2"))).outcome == "failed"
    assert fleet.runs == {"h1": "old", "h2": "old", "h3": "new"} and not fleet.left


def test_as_many_as_may_fail_go_back_alone(tmp_path: Path) -> None:
    fleet = Fleet(names=("h1", "h2", "h3", "h4"), failing={"h1": "verify"})
    closed = _go(tmp_path, fleet, waves=(("h3",), ("h1", "h2"), ("h4",)), allowed=1)
    assert closed.outcome == "done"
    assert fleet.runs == {"h1": "old", "h2": "new", "h3": "new", "h4": "new"} and not fleet.left


def test_a_tenth_of_five_hundred_hosts_fails_and_goes_back_alone(tmp_path: Path) -> None:
    names = tuple(f"h{number}" for number in range(500))
    planned = waves(names, 500, dict.fromkeys(names, frozenset({"chat"})), RolloutSettings())
    bad = dict.fromkeys(names[100:150], "verify")
    fleet = Fleet(names=names, failing=bad)
    assert _go(tmp_path / "may", fleet, waves=planned, allowed=50).outcome == "done"
    assert {name for name, runs in fleet.runs.items() if runs == "old"} == bad.keys() and not fleet.left
    fleet = Fleet(names=names, failing=bad)
    closed = _go(tmp_path / "may not", fleet, waves=planned, allowed=49)
    assert closed.sentence == "h100: fails in verify (and 49 more of its hosts)"
    assert [list(fleet.runs.values()).count(runs) for runs in ("new", "old")] == [51, 449] and not fleet.left


def test_one_more_takes_its_wave_back(tmp_path: Path) -> None:
    fleet = Fleet(names=("h1", "h2", "h3", "h4"), failing={"h1": "verify", "h4": "verify"})
    closed = _go(tmp_path, fleet, waves=(("h3",), ("h1", "h2"), ("h4",)), allowed=1)
    assert closed.sentence == "h4: fails in verify"
    assert fleet.runs == {"h1": "old", "h2": "new", "h3": "new", "h4": "old"} and not fleet.left


def test_all_waves_go_back_the_last_one_first_where_that_is_wanted(tmp_path: Path) -> None:
    fleet = Fleet(failing={"h2": "soak"})
    assert _go(tmp_path, fleet, on_failure="all").sentence == "h2: fails in soak"
    assert fleet.runs == {"h1": "old", "h2": "old", "h3": "old"} and not fleet.left
    back = [(done, hosts) for done, _, hosts in fleet.did if done in ("leave", "back", "return")]
    assert back == [
        *((done, ("h2",)) for done in ("back", "return")),
        *((done, ("h1",)) for done in ("leave", "back", "return")),
        *((done, ("h3",)) for done in ("leave", "back", "return")),
    ]


def test_hosts_stay_where_they_are_and_the_failed_one_drained_where_it_only_stops(tmp_path: Path) -> None:
    fleet = Fleet(names=("h1", "h2", "h3"), failing={"h1": "verify"})
    closed = _go(tmp_path, fleet, waves=(("h3",), ("h1", "h2")), on_failure="stop")
    assert closed.outcome == "failed"
    assert fleet.runs == {"h1": "new", "h2": "new", "h3": "new"}
    assert fleet.left == {"h1"} and not fleet.hosts["h1"].armed


def test_what_cannot_go_back_stays_drained(tmp_path: Path) -> None:
    class Stuck(Fleet):
        def do(self, step: Step, notes: Any, events: Any) -> engine.Done:
            done = super().do(step, notes, events)
            return engine.Done({"h3": "is gone"}) if step.phase == "back" else done

    fleet = Stuck(failing={"h3": "apply"})
    assert _go(tmp_path, fleet).outcome == "failed"
    assert fleet.hosts["h3"].drained


def test_who_was_drained_before_stays_so(tmp_path: Path) -> None:
    fleet = Fleet()
    fleet.hosts["h1"].drained = True
    assert _go(tmp_path, fleet).outcome == "done"
    assert fleet.left == {"h1"} and fleet.runs["h1"] == "new"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("failing", "more"),
    [
        ({}, {}),
        ({"h3": "verify"}, {}),
        ({"h2": "soak"}, {"on_failure": "all"}),
        ({"h1": "apply"}, {"on_failure": "stop"}),
        ({"h1": "apply"}, {"allowed": 1}),
        ({"h1": "confirm"}, {"allowed": 1}),
    ],
)
def test_killed_at_any_event_it_ends_as_if_it_had_not_been(
    tmp_path: Path, failing: dict[str, str], more: dict[str, Any], after: bool
) -> None:
    whole = Fleet(failing=failing)
    expected = _go(tmp_path / "whole", whole, **more)
    events = len(Journal(tmp_path / "whole").events)
    assert events > 10
    for at in range(2, events + 1):
        fleet, folder = Fleet(failing=failing), tmp_path / str(at)
        journal = KillingJournal(folder, at, after)
        journal.add(opening(**more))
        with pytest.raises(KilledError):
            engine.go(journal, fleet, _silent)
        left = Journal(folder)
        if not left.is_closed:
            engine.resume(left, fleet, "bob", False, _silent)
            engine.go(left, fleet, _silent)
        closed = left.events[-1]
        assert isinstance(closed, Closed)
        assert (closed.outcome, closed.sentence) == (expected.outcome, expected.sentence)
        assert (fleet.runs, fleet.left) == (whole.runs, whole.left)
        # No step is done more than once, but for the one that was cut off.
        again = [each for each in set(fleet.did) if fleet.did.count(each) > 1]
        assert len(again) <= 1 and fleet.did.count(again[0] if again else fleet.did[0]) <= 2


def test_killed_again_and_again_it_comes_to_its_end(tmp_path: Path) -> None:
    fleet = Fleet()
    Journal(tmp_path).add(opening())
    for _ in range(200):
        journal = KillingJournal(tmp_path, 3, after=True)
        try:
            engine.resume(journal, fleet, "bob", False, _silent)
            engine.go(journal, fleet, _silent)
        except KilledError:
            continue
        break
    assert Journal(tmp_path).is_closed and fleet.runs == {"h1": "new", "h2": "new", "h3": "new"}


@pytest.mark.parametrize("at", range(3, 18))
def test_a_wave_whose_host_went_back_by_itself_meanwhile_begins_anew(tmp_path: Path, at: int) -> None:
    fleet = Fleet()
    journal = KillingJournal(tmp_path, at, after=True)
    journal.add(opening())
    with pytest.raises(KilledError):
        engine.go(journal, fleet, _silent)
    fleet.went_back = frozenset(name for name, host in fleet.hosts.items() if host.armed)
    left = Journal(tmp_path)
    engine.resume(left, fleet, "bob", False, _silent)
    assert engine.go(left, fleet, _silent).outcome == "done"
    assert fleet.runs == {"h1": "new", "h2": "new", "h3": "new"} and not fleet.left


@pytest.mark.parametrize("after", [False, True])
def test_abandoned_at_any_event_only_whole_waves_stay(tmp_path: Path, after: bool) -> None:
    _go(tmp_path / "whole", Fleet())
    for at in range(2, len(Journal(tmp_path / "whole").events)):
        fleet, folder = Fleet(), tmp_path / str(at)
        journal = KillingJournal(folder, at, after)
        journal.add(opening())
        with pytest.raises(KilledError):
            engine.go(journal, fleet, _silent)
        left = Journal(folder)
        engine.resume(left, fleet, "bob", True, _silent)
        closed = engine.go(left, fleet, _silent)
        assert not fleet.left and set(fleet.runs.values()) <= {"old", "new"}, at
        order = [fleet.runs[host] for (host,) in THREE]
        assert order == sorted(order), at  # new ones come first
        assert closed.sentence in ("was abandoned by bob", "")


def test_the_course_of_a_closed_rollout_is_over(tmp_path: Path) -> None:
    _go(tmp_path, Fleet())
    assert next_step(Journal(tmp_path).events) is None
    assert isinstance(next_step([opening()]), Step)
    assert isinstance(next_step([opening(waves=((),))]), Step | Gate | End)
