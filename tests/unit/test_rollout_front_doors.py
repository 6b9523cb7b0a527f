"""What front doors are told in a rollout: by the release that each host runs at that moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.fleet import generations
from sealift.rollout import begin, engine
from sealift.rollout.course import Step
from sealift.rollout.engine import Done
from sealift.rollout.events import Closed, Ended, Event
from sealift.rollout.journal import Journal
from sealift.site.inventory import Host
from sealift.ssh import Gathered
from tests.unit.rollouts import opening
from tests.unit.steps_site import NEW, OLD, Site

_WAVES = (("h3",), ("h2",), ("h1",))


def _site(folder: Path, monkeypatch: pytest.MonkeyPatch, *doors: str) -> Site:
    """Its hosts run a release that has the role old; the inventory names one that has the role new."""
    made = Site(folder, doors)
    made.take_the_place_of_hosts(monkeypatch)
    made.roles = {OLD.bundle: ("chat", "old"), NEW.bundle: ("chat", "new")}
    made.runs = dict.fromkeys(made.runs, OLD)
    return made


def _roll_out(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    waves: Sequence[tuple[str, ...]] = _WAVES,
    failing: Sequence[str] = (),
    **terms: object,
) -> Closed:
    """+ failing: hosts whose claims do not hold."""

    def verify(step: Step, _: Mapping[str, str]) -> Done:
        return Done({host: "a claim fails" for host in step.hosts if host in failing})

    monkeypatch.setattr(site.steps, "_ship", lambda *_: Done())
    monkeypatch.setattr(site.steps, "_verify", verify)
    journal = Journal(site.inventory.path.parent / "rollout")
    journal.add(opening(tuple(waves), **terms))
    return engine.go(journal, site.steps, lambda _: None)


def test_each_host_is_asked_for_what_it_answers_at_that_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = _site(tmp_path, monkeypatch, "h1")
    assert _roll_out(site, monkeypatch).outcome == "done"
    assert site.said == [
        "h1:chat,old h2:chat,old -h3:chat,old",
        "h1:chat,old h2:chat,old h3:chat,new",
        "h1:chat,old -h2:chat,old h3:chat,new",
        "h1:chat,old h2:chat,new h3:chat,new",
        "-h1:chat,old h2:chat,new h3:chat,new",  # the role goes away with its last host, which is drained
        "-h1:chat,new h2:chat,new h3:chat,new",  # by apply, it has the list already that the inventory gives
        "h1:chat,new h2:chat,new h3:chat,new",
    ]
    assert site.drained == set()
    assert site.rounds == len(site.said)  # once for each


def test_after_a_gate_that_failed_what_the_former_release_has_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = _site(tmp_path, monkeypatch, "h1")
    closed = _roll_out(site, monkeypatch, failing=["h1"], on_failure="all")
    assert closed.outcome == "failed" and set(site.runs.values()) == {OLD}
    assert site.said[5:] == [
        "-h1:chat,new h2:chat,new h3:chat,new",
        "h1:chat,old h2:chat,new h3:chat,new",
        "h1:chat,old -h2:chat,new h3:chat,new",
        "h1:chat,old h2:chat,old h3:chat,new",
        "h1:chat,old h2:chat,old -h3:chat,new",
        "h1:chat,old h2:chat,old h3:chat,old",
    ]


def test_a_host_that_failed_alone_is_not_asked_for_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = _site(tmp_path, monkeypatch, "h1")
    closed = _roll_out(site, monkeypatch, failing=["h2"], canary=False, allowed=1)
    assert closed.outcome == "done"
    assert site.said[-2:] == [
        "-h1:chat,new h2:chat,old h3:chat,new",  # at once, not when it is verified
        "h1:chat,new h2:chat,old h3:chat,new",
    ]


def test_who_is_alone_with_a_role_is_told_of_as_soon_as_it_has_another_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = _site(tmp_path, monkeypatch, "h1")
    site.drain("h1", "h2")  # by the operator
    _roll_out(site, monkeypatch, failing=["h3"])
    assert site.said == ["-h1:chat,old -h2:chat,old h3:chat,new", "-h1:chat,old -h2:chat,old h3:chat,old"]
    assert site.drained == {"h1", "h2"}


def test_a_host_that_does_not_say_what_it_runs_is_told_of_as_the_inventory_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = _site(tmp_path, monkeypatch, "h1")
    site.silent = {"h2"}
    _roll_out(site, monkeypatch, _WAVES[:1])
    assert site.said[0] == "h1:chat,old h2:chat,new -h3:chat,old"
    site.silent = set()
    del site.roles[OLD.bundle]  # the depot lacks it
    site.runs = dict.fromkeys(site.runs, OLD)
    site.do(Step("undrain", 0, ("h3",)), [opening()])
    assert site.said[-1] == "h1:chat,new h2:chat,new h3:chat,new"


def test_on_bare_hosts_no_front_door_confirms_anything_and_none_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = _site(tmp_path, monkeypatch, "h1")
    site.runs = dict.fromkeys(site.runs, None)
    assert _roll_out(site, monkeypatch).outcome == "done"
    assert site.said[0] == "h1:chat,new h2:chat,new -h3:chat,new"
    assert site.said[-1] == "h1:chat,new h2:chat,new h3:chat,new"


def test_without_a_front_door_no_host_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = _site(tmp_path, monkeypatch)
    assert _roll_out(site, monkeypatch).outcome == "done"
    assert site.rounds == 0 and site.said == []
    assert set(site.runs.values()) == {NEW}


def test_a_rollout_keeps_of_the_depot_what_hosts_run_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = _site(tmp_path, monkeypatch, "h1")
    site.silent = {"h2"}
    kept: list[tuple[str, ...]] = []

    @contextmanager
    def activating(
        _: Depot, named: Sequence[str], __: Path, left: Callable[[], Sequence[str]]
    ) -> Iterator[None]:
        kept.extend([tuple(named), tuple(left())])
        yield

    monkeypatch.setattr(begin, "activating", activating)
    journal = Journal(tmp_path / "rollout")
    journal.add(opening(_WAVES))
    with begin._kept(site.inventory, Depot(tmp_path / "depot"), journal):
        pass
    old = f"demo@{OLD.bundle}"
    assert kept == [(NEW.release,) * 3, (old, NEW.release, old)]


def test_front_doors_that_cannot_be_told_undo_no_host_that_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One host's address is not known for a moment, when nobody is drained."""
    site = _site(tmp_path, monkeypatch, "h1")
    site.drain("h1", "h2")
    wave: list[Event] = [opening((("h3",),))]
    site.do(Step("drain", 0, ("h3",)), wave)

    def lost(*_: object) -> None:
        raise SealiftError("h2: its address is not known here")

    monkeypatch.setattr("sealift.rollout.front_doors.fronts_of", lost)
    for phase in ("apply", "undrain"):
        done = site.do(Step(phase, 0, ("h3",)), wave)
        assert not done.failed and "h2: its address is not known here" in done.said


def test_a_host_that_went_back_and_stays_drained_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = _site(tmp_path, monkeypatch, "h1")

    def lost(*_: object) -> None:
        raise SealiftError("h2: its address is not known here. Write it.")

    def go_back(hosts: Sequence[Host]) -> Gathered[str]:
        monkeypatch.setattr("sealift.rollout.front_doors.fronts_of", lost)
        return site.go_back(hosts)

    monkeypatch.setattr(generations, "go_back", go_back)
    assert _roll_out(site, monkeypatch, _WAVES[:1], failing=["h3"]).outcome == "failed"
    assert site.drained == {"h3"}
    events = Journal(tmp_path / "rollout").events
    (ended,) = [e for e in events if isinstance(e, Ended) and e.phase == "return"]
    assert ended.said == (
        "h2: its address is not known here. Write it. "
        "Until you run sealift undrain, front doors send nothing to h3."
    )
