"""Hosts go back in waves: what front doors are told, what is done where something fails, and by Ctrl-C."""

from __future__ import annotations

import errno
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sealift.depot.store import Depot, StoredRelease
from sealift.errors import SealiftError
from sealift.fleet import back, generations
from sealift.fleet.generations import Stands
from sealift.live import drain
from sealift.live.push import Pushed
from sealift.rollout import going_back as module
from sealift.rollout.way_back import way_back
from sealift.site.inventory import Host, Inventory
from sealift.ssh import Gathered
from tests.unit.back_site import DOORS, NEW, OLD, Site
from tests.unit.fleet_site import BUNDLE, lock


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path)
    monkeypatch.setattr(Depot, "resolve", lambda *_: StoredRelease(BUNDLE, lock()))
    monkeypatch.setattr(drain, "push", made.push)
    monkeypatch.setattr(back, "hosts_held", lambda *_: nullcontext())
    monkeypatch.setattr(back, "went_back", made.went_back)
    monkeypatch.setattr(
        generations, "stands", lambda hosts, *_: Gathered({h.name: made.standing[h.name] for h in hosts}, {})
    )
    monkeypatch.setattr(module, "differences", lambda _: Gathered({}, {}))
    monkeypatch.setattr(module, "_READY_S", -1)
    monkeypatch.setattr(module, "_PAUSE_S", 0)
    monkeypatch.setattr(
        module,
        "running_by_door",
        lambda fronts, names: made.by_door(fronts.doors.names, {n: made.running.get(n, 0) for n in names}),
    )
    monkeypatch.setattr(
        module, "sick_by_door", lambda fronts: made.by_door(fronts.doors.names, made.sick() | made.drained)
    )
    return made


def test_each_wave_is_drained_goes_back_and_is_undrained(site: Site) -> None:
    outcomes = site.roll_back()
    assert site.did == [
        *("told h3", "back h3", "told -"),
        *("told h1", "back h1", "told -"),
        *("told h2", "back h2", "told -"),
    ]
    assert all(each.ok and not each.stays_drained for each in outcomes.values())
    assert list(outcomes) == ["h1", "h2", "h3"] and site.wrong == []
    assert site.lines[0] == "wave 1 of 3: h3" and "h3: nothing runs there any more" in site.lines[1]


def test_what_still_runs_when_the_time_is_over_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.running = {"h3": 1}  # by each of two front doors
    monkeypatch.setattr("sealift.live.stand_in._PAUSE_S", 0)
    site.roll_back("h3")
    assert site.did == ["told h3", "back h3", "told -"]
    assert any("2 requests still ran after 0 s, and are cut off" in line for line in site.lines)


def test_a_host_that_does_not_go_back_stays_drained_and_others_go_on(site: Site) -> None:
    site.bad = {"h3"}
    outcomes = site.roll_back()
    assert site.did == [
        *("told h3", "back h3", "told h3"),
        *("told h1,h3", "back h1", "told h3"),
        *("told h2,h3", "back h2", "told h3"),
    ]
    assert site.drained == {"h3"}
    assert [host for host, each in outcomes.items() if each.stays_drained] == ["h3"]


def test_the_last_one_that_answers_is_left_as_it_is(site: Site) -> None:
    site.bad = {"h3", "h1"}
    outcomes = site.roll_back()
    assert "back h2" not in site.did and site.drained == {"h1", "h3"}
    assert "h2: was left as it is: no other host answers" in outcomes["h2"].error
    assert "--limit h2 --at-once" in outcomes["h2"].error and outcomes["h2"].release == "demo:2"


def test_who_was_drained_by_the_operator_goes_back_and_stays_drained(site: Site) -> None:
    site.drain("h3")
    outcomes = site.roll_back()
    assert [line for line in site.did if "back" in line] == ["back h3", "back h1", "back h2"]
    assert site.drained == {"h3"} and all(each.ok and not each.stays_drained for each in outcomes.values())
    assert [line for line in site.lines if "stays so" in line] == [
        "h3: was drained before, and stays so: sealift undrain prod h3"
    ]


def test_who_was_left_drained_is_named_when_it_is_back_the_next_time(site: Site) -> None:
    site.bad = {"h3"}
    assert site.roll_back()["h3"].stays_drained
    site.bad, site.lines = set(), []
    assert site.roll_back()["h3"].ok and site.drained == {"h3"}
    assert "h3: was drained before, and stays so: sealift undrain prod h3" in site.lines


def test_who_is_back_already_is_not_drained_once_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when it is run again, cut off after h3 was back and while h1 went back by itself."""
    back_already = Stands(OLD, OLD, (OLD,))
    site.standing |= {"h1": back_already, "h3": back_already}
    lines: dict[str, tuple[str, ...]] = {"h1": ("service gateway is missing",), "h3": ()}
    monkeypatch.setattr(
        module, "differences", lambda hosts: Gathered({h.name: lines[h.name] for h in hosts}, {})
    )
    assert all(each.ok for each in site.roll_back().values())
    assert site.did == [
        *("back h3", "told -"),
        *("told h1", "back h1", "told -"),
        *("told h2", "back h2", "told -"),
    ]


def test_who_is_drained_just_before_it_begins_is_the_operators_too(site: Site) -> None:
    way = site.way()
    site.drain("h3")
    site.go(way)
    assert site.drained == {"h3"}


def test_who_cannot_be_drained_goes_back_all_the_same_and_it_is_said(site: Site) -> None:
    site.drain("h1", "h2")
    assert site.roll_back("h3")["h3"].ok
    assert site.did == ["back h3", "told h1,h2"]
    assert any("h3 is not drained: no other host answers" in line for line in site.lines)


def test_a_host_waits_until_those_that_stand_in_for_it_are_well(site: Site) -> None:
    """h1 and h2 do not answer by the newer release: they go first."""
    site.sick = lambda: frozenset({"h1", "h2"} if "back h2" not in site.did else ())
    outcomes = site.roll_back()
    assert [line for line in site.did if "back" in line] == ["back h1", "back h2", "back h3"]
    assert all(each.ok for each in outcomes.values()) and site.drained == set()
    assert "front doors do not find h1 well" in " ".join(site.lines)


def test_a_front_door_that_is_silent_keeps_no_host_from_going_back(site: Site) -> None:
    site.silent = {"h2"}
    assert site.roll_back("h3")["h3"].ok
    assert site.did == ["told h3", "back h3", "told -"]
    assert "h2: does not answer over SSH" in site.wrong
    assert "Once the front doors answer: sealift undrain prod h3" in site.wrong
    site.silent, site.wrong = {"h1", "h2"}, []
    assert site.roll_back("h3")["h3"].ok
    assert any("no front door confirms it: hosts go back all the same" in line for line in site.lines)


def test_the_only_front_door_that_answers_goes_after_the_other(site: Site) -> None:
    def goes(host: Host) -> None:
        site.silent -= {host.name}

    site.silent, site.goes = {"h2"}, goes
    assert all(each.ok for each in site.roll_back().values())
    assert [line for line in site.did if "back" in line] == ["back h3", "back h2", "back h1"]


def test_a_front_door_is_left_as_it_is_where_the_other_answers_no_more_when_it_is_back(site: Site) -> None:
    site.silent = {"h2"}
    outcomes = site.roll_back()
    assert [line for line in site.did if "back" in line] == ["back h3", "back h2"]
    assert "h1: was left as it is: no other host answers the front door by now" in outcomes["h1"].error
    assert site.drained == set()


def test_a_front_door_that_falls_silent_is_not_waited_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(fronts: Any, names: Any) -> Any:
        site.silent = {"h1", "h2"}
        return site.by_door(fronts.doors.names, {})

    monkeypatch.setattr(module, "running_by_door", asked)
    assert site.roll_back("h3")["h3"].ok
    assert any("front doors do not say what still runs there" in line for line in site.lines)
    assert "h1: does not answer\nh1: what runs through it is not waited for." in site.wrong


def test_hosts_go_back_though_nobody_can_write_down_that_they_are_drained(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "drained")

    monkeypatch.setattr(drain, "write_drained", write)
    outcomes = site.roll_back()
    assert site.did == ["back h3", "back h1", "back h2"] and all(each.ok for each in outcomes.values())
    assert any("No space left on device: 'drained'" in line for line in site.wrong)
    assert any("no front door confirms it: hosts go back all the same" in line for line in site.lines)


def _interrupt(_: Host) -> None:
    raise KeyboardInterrupt


def test_cut_off_while_it_waits_nobody_stays_drained(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "until_idle", wait)
    with pytest.raises(KeyboardInterrupt):
        site.roll_back()
    assert site.did == ["told h3", "told -"] and site.drained == set()
    assert site.lines[-1] == "undrained, since this was cut off: h3"


def test_cut_off_while_hosts_go_back_these_stay_drained_and_it_is_said(site: Site) -> None:
    site.goes = _interrupt
    with pytest.raises(KeyboardInterrupt):
        site.roll_back()
    assert site.did == ["told h3", "back h3"] and site.drained == {"h3"}
    (said,) = site.wrong
    assert said.startswith("h3: was going back, goes on with it by itself, and stays drained.")
    assert said.endswith("sealift undrain prod h3")


def test_cut_off_while_one_goes_back_that_was_not_drained_it_is_named(site: Site) -> None:
    site.drain("h1", "h2")
    site.goes = _interrupt
    with pytest.raises(KeyboardInterrupt):
        site.roll_back("h3")
    assert site.wrong == [
        "h3: was going back, and goes on with it by itself. "
        "Whether it is whole: sealift rollback prod --limit h3"
    ]


def test_cut_off_once_more_what_is_left_to_do_is_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(*_: object) -> tuple[Pushed, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "set_drained", told)
    with pytest.raises(KeyboardInterrupt):
        site.roll_back()
    assert site.wrong == ["This may still be to do: sealift undrain prod h3"]


def test_a_front_door_goes_back_to_the_generation_that_was_meant_though_its_id_has_changed(
    site: Site,
) -> None:
    older = replace(OLD, id="c" * 12)
    site.standing = dict.fromkeys(site.standing, Stands(NEW, OLD, (older, OLD, NEW)))
    site.roll_back("h1", to=OLD.id)
    site.roll_back("h1", to=older.id)
    way = site.way("h1", to=NEW.id)
    site.standing["h1"] = Stands(replace(NEW, id="d" * 12), OLD, (OLD,))
    site.go(way)
    assert [line for line in site.did if "back" in line] == [
        "back h1",
        f"back h1 to {older.id}",
        f"back h1 to {'d' * 12}",
    ]


def test_front_doors_are_told_by_the_releases_that_hosts_run(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(_: Depot, reference: str) -> StoredRelease:
        if "1111" in reference and lacking:
            raise SealiftError("not in the depot")
        return StoredRelease(BUNDLE, lock())

    lacking = False
    monkeypatch.setattr(Depot, "resolve", resolve)
    way = site.way("h3")
    assert way.at["h3"].settings.release == f"demo@{NEW.bundle}"
    assert way.then["h3"].settings.release == f"demo@{OLD.bundle}"
    assert way.then["h1"].settings.release == f"demo@{NEW.bundle}"  # it does not go back
    told: list[dict[str, str]] = []

    def set_drained(inventory: Inventory, *_: object) -> tuple[Pushed, ...]:
        told.append({host.name: host.settings.release for host in inventory.whole.hosts})
        return tuple(Pushed(door, True, True, "", 0.1) for door in DOORS)

    monkeypatch.setattr(module, "set_drained", set_drained)
    site.roll_back("h3")
    assert [each["h3"] for each in told] == [f"demo@{NEW.bundle}", f"demo@{OLD.bundle}"]
    lacking = True  # nothing of the old release is needed to go back
    assert site.way("h3").then["h3"].settings.release == f"demo@{NEW.bundle}"


def test_a_site_without_a_front_door_has_no_waves(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Depot, "resolve", never)  # it may be lost
    bare = Inventory("prod", Path("prod.py"), site.inventory.hosts[2:])
    assert way_back(bare, {"h3": site.standing["h3"]}, None) is None
