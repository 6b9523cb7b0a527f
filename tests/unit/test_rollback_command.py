"""The command `sealift rollback`: what it refuses, shows and reports."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sealift.cli import rollback as command
from sealift.cli.main import application
from sealift.errors import SealiftError
from sealift.fleet import back
from sealift.fleet.back import Outcome
from sealift.fleet.generations import Kept, Stands
from sealift.rollout.back_order import Order
from sealift.rollout.going_back import Heard
from sealift.rollout.journal import Journal, rollouts_folder
from sealift.rollout.way_back import Way
from sealift.site.inventory import Host, Inventory
from sealift.ssh import Gathered
from tests.unit.fleet_site import site_settings
from tests.unit.rollouts import opening

_WHEN = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
OLD = Kept("a" * 12, "demo:2026.10.0", "sha256:1", _WHEN, True)
NEW = Kept("b" * 12, "demo:2026.11.0", "sha256:2", _WHEN, True)
FORMER = Kept("c" * 12, "demo:2026.9.0", "sha256:3", _WHEN, False)


class Fleet:
    """Two hosts that are none."""

    def __init__(self, folder: Path) -> None:
        settings = site_settings(depot=str(folder / "depot"))
        hosts = tuple(Host(name, frozenset(), settings) for name in ("h1", "h2"))
        self.inventory = Inventory("prod", folder / "prod.py", hosts)
        self.standing = dict.fromkeys(("h1", "h2"), Stands(NEW, OLD, (OLD, NEW)))
        self.differs: dict[str, tuple[str, ...]] = {"h1": (), "h2": ()}
        self.went: list[tuple[tuple[str, ...], str | None]] = []

    def stands(self, hosts: Sequence[Host]) -> Gathered[Stands]:
        return Gathered({host.name: self.standing[host.name] for host in hosts}, {})

    def go_back(self, hosts: Sequence[Host], to: str | None) -> Gathered[str]:
        self.went.append((tuple(host.name for host in hosts), to))
        for host in hosts:
            of = self.standing[host.name]
            self.standing[host.name] = Stands(of.back(to), of.back(to), of.kept)
        return Gathered({host.name: "12:00:00 went back\n" for host in hosts}, {})


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    made = Fleet(tmp_path)
    monkeypatch.setattr(command, "load_inventory", lambda _: made.inventory)
    monkeypatch.setattr(back, "stands", made.stands)
    monkeypatch.setattr(back, "go_back", made.go_back)
    monkeypatch.setattr(back, "hosts_held", lambda *_: nullcontext())
    monkeypatch.setattr(
        back, "differences", lambda hosts: Gathered({h.name: made.differs[h.name] for h in hosts}, {})
    )
    return made


def _ran(*arguments: str) -> Result:
    return CliRunner().invoke(application("rollback"), ["rollback", "prod", *arguments])


def test_hosts_go_back_and_are_what_the_record_says(fleet: Fleet) -> None:
    found = _ran()
    assert found.exit_code == 0 and fleet.went == [(("h1", "h2"), None)]
    assert "h1: is what the record says: demo:2026.10.0" in found.output
    assert "rollback   2 of 2 hosts" in found.output
    assert "The inventory still names demo:2026.11.0. Name demo:2026.10.0 in its group_data" in found.output


def test_where_only_settings_went_back_no_apply_is_advised(fleet: Fleet) -> None:
    before = Kept("d" * 12, NEW.release, NEW.bundle, _WHEN, True)
    named = fleet.inventory.hosts[0].settings.model_copy(update={"release": NEW.release})
    hosts = tuple(replace(host, settings=named) for host in fleet.inventory.hosts)
    fleet.inventory = replace(fleet.inventory, hosts=hosts)
    fleet.standing = dict.fromkeys(("h1", "h2"), Stands(NEW, before, (before, NEW)))
    said = _ran().output
    assert (
        "The inventory still has the settings of the generation just left. Take the change back there, or "
        "the next apply or rollout brings it again." in said
    )
    assert "sealift apply" not in said and "still names" not in said and "h1: The release" not in said
    fleet.standing = {"h1": Stands(NEW, OLD, (OLD, NEW)), "h2": Stands(NEW, before, (before, NEW))}
    said = _ran().output
    assert "Name demo:2026.10.0 and demo:2026.11.0 in its group_data" in said
    assert "h2: The release is the same as before. The inventory still has the settings" in said


def test_a_dry_run_shows_where_each_would_go(fleet: Fleet) -> None:
    found = json.loads(_ran("--dry-run", "--json", "--limit", "h2").stdout)
    assert found == {
        "h2": {
            "armed": False,
            "back_to": {
                "bundle": "sha256:1",
                "generation": OLD.id,
                "placed": "2026-11-20T08:30:00+00:00",
                "release": OLD.release,
            },
            "current": {
                "bundle": "sha256:2",
                "generation": NEW.id,
                "placed": "2026-11-20T08:30:00+00:00",
                "release": NEW.release,
            },
            "drains": False,
            "wave": 1,
        }
    }
    shown = _ran("--dry-run")
    assert shown.exit_code == 0 and "2026-11-20 08:30 UTC" in shown.output and fleet.went == []


@pytest.mark.parametrize("to", [(), ("--to", OLD.id)])
def test_only_a_dry_run_says_what_would_be(fleet: Fleet, to: tuple[str, ...]) -> None:
    assert "would go back to" in _ran("--dry-run", *to).output
    real = _ran(*to).output
    assert "goes back to" in real and "would go" not in real


def test_hosts_of_a_rollout_that_was_cut_off_are_its_own(fleet: Fleet) -> None:
    Journal(rollouts_folder(fleet.inventory) / "prod-20261129T120000Z").add(opening())
    found = _ran()
    assert "has not come to its end" in str(found.exception) and "--abandon" in str(found.exception)
    assert fleet.went == [] and _ran("--dry-run").exit_code == 0


def test_a_second_time_is_known_to_change_nothing(fleet: Fleet) -> None:
    assert _ran().exit_code == _ran().exit_code == 0
    assert "force already" in _ran("--dry-run").output


def test_a_host_that_is_not_as_recorded_is_told(fleet: Fleet) -> None:
    fleet.differs["h2"] = ("image x missing, expected y",)
    found = _ran()
    assert found.exit_code == 1
    assert "h2: image x missing, expected y" in found.output and "rollback   1 of 2 hosts" in found.output
    data = json.loads(_ran("--json").stdout)
    assert data["h2"]["ok"] is False and data["h2"]["did"] == ["12:00:00 went back"]
    assert data["h1"]["ok"] is True


def _way(fleet: Fleet) -> Way:
    names, nothing = ("h1", "h2"), frozenset[str]()
    answers = {"h1": frozenset({"chat", "embed"}), "h2": frozenset({"chat"})}
    order = Order((("h2",), ("h1",)), answers, frozenset({"h1"}), nothing)
    hosts = dict(zip(names, fleet.inventory.hosts, strict=True))
    return Way(fleet.inventory, order, fleet.standing, hosts, hosts, None)


def test_behind_a_front_door_hosts_go_in_waves(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Way] = []

    def in_waves(way: Way, heard: Heard) -> dict[str, Outcome]:
        asked.append(way)
        heard.line("wave 1 of 2: h2")
        outcomes = {"h1": Outcome("demo:2026.10.0"), "h2": Outcome("", error="h2: no", stays_drained=True)}
        for host, outcome in outcomes.items():
            heard.outcome(host, outcome)
        return outcomes

    monkeypatch.setattr(command, "way_back", lambda *_: _way(fleet))
    monkeypatch.setattr(command, "roll_back_in_waves", in_waves)
    would = _ran("--dry-run")
    assert re.search(r"│ 1 +│ h2 .*│ 2 +│ h1 ", would.stdout, re.DOTALL)
    assert "h1 is not drained: no other host answers embed" in would.stdout and asked == []
    data = json.loads(_ran("--dry-run", "--json").stdout)
    assert {host: (each["wave"], each["drains"]) for host, each in data.items()} == {
        "h1": (2, False),
        "h2": (1, True),
    }
    found = _ran()
    assert found.exit_code == 1 and len(asked) == 1 and fleet.went == []
    assert "wave 1 of 2: h2" in found.stdout and "rollback   1 of 2 hosts" in found.stdout
    assert (
        "h2: stays drained. Look at it; once sealift rollback prod --limit h2 finds nothing wrong: "
        "sealift undrain prod h2" in found.stderr
    )
    said = _ran("--json")
    assert {host: each["stays_drained"] for host, each in json.loads(said.stdout).items()} == {
        "h1": False,
        "h2": True,
    }
    assert _ran("--at-once").exit_code == 0 and fleet.went == [(("h1", "h2"), None)]


def test_where_front_doors_are_not_known_hosts_go_back_at_once(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise SealiftError("demo:1: not in the depot.")

    monkeypatch.setattr(command, "way_back", unknown)
    found = _ran()
    assert found.exit_code == 0 and fleet.went == [(("h1", "h2"), None)]
    assert "demo:1: not in the depot.\nSo front doors cannot be told" in found.stderr


@pytest.mark.parametrize(
    ("standing", "arguments", "said"),
    [
        (Stands(None, None, ()), (), "h2: nothing is deployed there"),
        (Stands(NEW, None, (NEW,)), (), "h2: has no generation before the one in force"),
        (Stands(NEW, FORMER, (NEW, FORMER)), (), "h2: demo:2026.9.0 (cccccccccccc) is of an older sealift"),
        (Stands(NEW, FORMER, (NEW, FORMER)), ("--to", OLD.id), f"h2: has no generation {OLD.id}"),
    ],
)
def test_where_one_cannot_go_back_none_does(
    fleet: Fleet, standing: Stands, arguments: tuple[str, ...], said: str
) -> None:
    fleet.standing["h2"] = standing
    found = _ran(*arguments)
    assert isinstance(found.exception, SealiftError) and said in str(found.exception)
    assert "h1:" not in str(found.exception) and "nothing was changed" in str(found.exception)
    assert fleet.went == []


@pytest.mark.parametrize(
    ("able", "arguments", "works"),
    [
        (("h1",), (), "--limit h1"),
        (("h1", "h2", "h3"), (), "--exclude h4"),
        (("h1", "h2", "h3"), ("--exclude", "h3"), "--limit h1 --limit h2"),
        (("h2",), ("--to", OLD.id), f"--limit h2 --to {OLD.id}"),
    ],
)
def test_the_command_for_those_that_can_go_back_works(
    fleet: Fleet, able: tuple[str, ...], arguments: tuple[str, ...], works: str
) -> None:
    names, settings = ("h1", "h2", "h3", "h4"), fleet.inventory.hosts[0].settings
    hosts = tuple(Host(name, frozenset(), settings) for name in names)
    fleet.inventory = replace(fleet.inventory, hosts=hosts)
    only = Stands(NEW, None, (NEW,))
    fleet.standing = {name: Stands(NEW, OLD, (OLD, NEW)) if name in able else only for name in names}
    fleet.differs = dict.fromkeys(names, ())
    said = str(_ran(*arguments).exception)
    assert said.endswith(f"The others can go back: sealift rollback prod {works}") and fleet.went == []
    assert _ran(*works.split()).exit_code == 0
    went = fleet.went[0][0]
    assert set(went) == set(able) - set(arguments)


def test_where_no_host_can_go_back_no_command_is_named(fleet: Fleet) -> None:
    fleet.standing = dict.fromkeys(("h1", "h2"), Stands(NEW, None, (NEW,)))
    said = str(_ran().exception)
    assert "sealift rollback" not in said and "It could go to" not in said


def test_the_generation_in_force_is_none_to_go_back_to(fleet: Fleet) -> None:
    fleet.standing["h2"] = Stands(NEW, OLD, (OLD, NEW))
    said = str(_ran("--to", FORMER.id).exception)
    assert f"It could go to: {OLD.id}." in said and NEW.id not in said
