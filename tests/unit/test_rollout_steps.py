"""What is done in steps of a rollout that are cut off, and how hosts are kept waiting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.fleet import generations
from sealift.fleet.wave import HostResult, Watch, WaveResult
from sealift.rollout import steps as module
from sealift.rollout.course import Step
from sealift.rollout.engine import Done
from sealift.rollout.events import Began, Event
from sealift.site.inventory import Host, Inventory
from sealift.ssh import Gathered
from tests.unit.rollouts import START, opening
from tests.unit.steps_site import Site, gathered


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path)
    made.take_the_place_of_hosts(monkeypatch)
    return made


def _began(phase: str, *hosts: str, notes: tuple[str, ...] = ()) -> Began:
    values = {"at": START, "wave": 0, "phase": phase, "hosts": hosts, "notes": dict.fromkeys(notes, "")}
    return Began.model_validate(values)


def test_only_those_are_drained_that_others_stand_in_for_and_nobody_drained_before(site: Site) -> None:
    found = site.steps.notes(Step("drain", 0, ("h1", "h2", "h3")), [opening()])
    assert list(found) == ["h1", "h2"]  # h3 is left to answer
    site.drain("h1")
    assert list(site.steps.notes(Step("drain", 0, ("h1", "h2")), [opening()])) == ["h2"]
    # Drained by this very rollout, before it was cut off, it is the rollout's.
    ours: list[Event] = [opening(), _began("drain", "h1", notes=("h1",))]
    assert list(site.steps.notes(Step("drain", 0, ("h1",)), ours)) == ["h1"]


def test_front_doors_are_told_once_more_where_undraining_was_cut_off(site: Site) -> None:
    events: list[Event] = [opening(), _began("drain", "h3", notes=("h3",))]
    site.do(Step("drain", 0, ("h3",)), [opening()])
    assert site.told == [{"h3"}]
    begun = _began("undrain", "h3")
    site.drain()  # written down, and then killed
    site.do(Step("undrain", 0, ("h3",), begun), [*events, begun])
    assert site.told == [{"h3"}, frozenset()]


def test_who_was_drained_by_somebody_is_not_undrained(site: Site) -> None:
    site.drain("h1", "h3")
    events: list[Event] = [opening(), _began("drain", "h1", "h3", notes=("h3",))]
    site.do(Step("undrain", 0, ("h1", "h3")), events)
    assert site.drained == {"h1"}


def test_hosts_that_pyinfra_names_fail_and_the_others_are_done(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[tuple[str, ...]] = []

    def apply_wave(inventory: Inventory, log: Path, _: Watch) -> WaveResult:
        runs.append(inventory.names)
        if "h2" in inventory.names:
            raise SealiftError("h2: failed at 'Load images': no space.\nWhat was said is in the log.")
        return WaveResult({n: HostResult(("a",), (), 1) for n in inventory.names}, 0, log)

    monkeypatch.setattr(module, "apply_wave", apply_wave)
    may_fail: list[Event] = [opening((("h1", "h2", "h3"),), canary=False, allowed=1)]
    done = site.do(Step("apply", 0, ("h1", "h2", "h3")), may_fail)
    assert dict(done.failed) == {"h2": "failed at 'Load images': no space."}
    assert runs == [("h1", "h2", "h3"), ("h1", "h3")]
    # Where none may, the others are left as they are: they go back with it.
    none: list[Event] = [opening((("h1", "h2", "h3"),), canary=False)]
    site.do(Step("apply", 0, ("h1", "h2", "h3")), none)
    assert runs[2:] == [("h1", "h2", "h3")]


def test_hosts_are_kept_waiting_while_a_step_lasts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[tuple[tuple[str, ...], int]] = []

    def keep(hosts: tuple[Host, ...], within_s: int) -> Any:
        kept.append((tuple(host.name for host in hosts), within_s))
        if len(kept) == 2:
            raise OSError("no more processes")  # which is no reason to let them go back
        return gathered(site.inventory.hosts)

    monkeypatch.setattr(generations, "keep", keep)
    settings = site.inventory.hosts[0].settings.rollout.model_copy(update={"confirm_s": 0})
    monkeypatch.setattr(site.steps, "_settings", settings)

    def slow(_: Step, __: object) -> Done:
        while len(kept) < 3:
            pass
        return Done()

    monkeypatch.setattr(site.steps, "_soak", slow)
    site.do(Step("soak", 0, ("h3",)), [opening()])
    seen = len(kept)
    assert set(kept) == {(("h3",), 0)} and seen >= 3
    monkeypatch.setattr(generations, "confirm", lambda _: gathered(site.inventory.hosts))
    site.do(Step("confirm", 0, ("h3",)), [opening()])
    assert len(kept) == seen  # confirmed, nothing keeps it waiting


def test_hosts_are_told_to_wait_before_a_step_begins_however_short_it_is(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def keep(hosts: tuple[Host, ...], _: int) -> Any:
        told.append("keep")
        return Gathered({"h2": ""}, {"h1": SealiftError("h1: went back by itself (now), expected to wait.")})

    def short(step: Step, _: object) -> Done:
        told.extend(step.hosts)
        return Done({"h2": "fails"})

    monkeypatch.setattr(generations, "keep", keep)
    monkeypatch.setattr(site.steps, "_verify", short)
    done = site.do(Step("verify", 0, ("h1", "h2")), [opening()])
    assert told == ["keep", "h2"]  # one that went back runs what it ran before: that proves nothing
    assert done.failed == {"h1": "went back by itself (now), expected to wait", "h2": "fails"}


def test_a_host_that_another_wave_left_drained_stands_in_for_nobody(site: Site) -> None:
    site.drain("h1")
    events: list[Event] = [opening(), _began("drain", "h1", notes=("h1",))]
    # h1 could not go back, and stays drained: of h2 and h3, one is left to answer.
    assert list(site.steps.notes(Step("drain", 1, ("h2", "h3")), events)) == ["h2"]


def test_a_wave_that_no_alert_could_tell_of_fails(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "arm", lambda *_: gathered(site.inventory.hosts))
    step = Step("arm", 0, ("h3",))
    assert not site.do(step, [opening()]).failed  # nothing watches the site

    def silent(*_: object) -> None:
        raise SealiftError("h1: Prometheus does not run there")

    monkeypatch.setattr(module, "firing_now", silent)
    monkeypatch.setattr(generations, "arm", silent)  # they stay as they are
    assert site.steps.notes(step, [opening()]) == {}
    assert "Prometheus did not answer" in site.do(step, [opening()]).failed["h3"]
    monkeypatch.setattr(generations, "arm", lambda *_: gathered(site.inventory.hosts))
    # Once it was heard before, how the wave does is told by the soak.
    armed = _began("arm", "h3", notes=("h3",))
    assert not site.do(Step("arm", 0, ("h3",), armed), [opening(), armed]).failed


def test_where_front_doors_are_not_known_no_host_is_changed_undrained(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise SealiftError("depot: has no demo:1, expected it.")

    step = Step("drain", 0, ("h1",))
    with monkeypatch.context() as patched:
        patched.setattr(Depot, "resolve", unknown)
        assert site.steps.notes(step, [opening()]) == {}
        with pytest.raises(SealiftError, match="has no demo:1"):
            site.do(step, [opening()])
        assert not site.do(Step("leave", 0, ("h1",)), [opening()]).failed  # it goes back all the same
    begun = _began("drain", "h1")  # and was cut off there
    assert "was to be drained" in site.do(Step("drain", 0, ("h1",), begun), [opening(), begun]).failed["h1"]


def test_a_wave_that_waited_for_its_window_asks_whether_it_still_may(site: Site) -> None:
    opened = opening(window="00:00-23:59")
    site.steps.wait(Step("drain", 0, ("h1",)), [opened])
    assert site.asked == 1
    site.steps.wait(Step("arm", 0, ("h1",)), [opened])  # what is under way is finished
    site.steps.wait(Step("drain", 0, ("h1",)), [opening()])
    assert site.asked == 1
