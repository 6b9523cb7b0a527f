"""The commands `sealift plan` and `sealift rollout`: what they refuse, leave alone, plan and write down."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sealift.cli import fleet as fleet_command
from sealift.cli import plan as plan_command
from sealift.cli import rollout as command
from sealift.cli.main import application
from sealift.cli.status import cut_off
from sealift.depot.store import Depot, StoredRelease
from sealift.drift.plan import Plan as Changes
from sealift.drift.status import HostStatus, Known
from sealift.evidence.code import code_digest
from sealift.fleet.status import Standing
from sealift.fleet.survey import Survey, Surveyed, Target
from sealift.fleet.wave import one_rollout
from sealift.rollout import begin, prepared
from sealift.rollout.journal import JOURNAL, Journal, rollouts_folder
from sealift.rollout.prepared import aimed_at
from sealift.ship.plan import Item, ShipPlan
from sealift.site.drained import write_drained
from sealift.site.inventory import Host, Inventory
from tests.unit.fleet_site import BUNDLE, blob, lock, site_settings, wanted
from tests.unit.rollouts import Fleet, opening

_RELEASE = "demo:2026.11.0"


def _standing(generation: str) -> Standing:
    return Standing(generation, _RELEASE, BUNDLE, (), (), None, {})


class Site:
    """Three hosts that are none, which lack something of their release."""

    def __init__(self, folder: Path) -> None:
        settings = site_settings(depot=str(folder / "depot"), secrets=str(folder / "secrets.age"))
        (folder / "depot").mkdir()
        hosts = tuple(Host(name, frozenset(), settings) for name in ("h1", "h2", "h3"))
        self.inventory = Inventory("prod", folder / "prod.py", hosts)
        self.generations = dict.fromkeys(self.inventory.names, "a" * 12)
        differing: tuple[str, ...] = ("configuration differs",)
        self.differs = dict.fromkeys(self.inventory.names, differing)
        self.problems: dict[str, str] = {}
        self.fleet = Fleet()

    def set(self, **rollout: object) -> None:
        """Other settings of rollouts."""
        settings = self.inventory.hosts[0].settings
        changed = settings.model_copy(update={"rollout": type(settings.rollout).model_validate(rollout)})
        hosts = tuple(replace(host, settings=changed) for host in self.inventory.hosts)
        self.inventory = replace(self.inventory, hosts=hosts)

    def ask(self, found: tuple[Target, ...], bare: bool = False) -> Known:
        assert bare
        statuses, surveyed = [], {}
        for target in found:
            name = target.host.name
            standing = _standing(self.generations[name])
            statuses.append(HostStatus(name, _RELEASE, standing, None, self.differs[name]))
            problems = (f"{name}: {self.problems[name]}",) if name in self.problems else ()
            shipping = ShipPlan((), (Item(blob(1, 1000), 0),))
            surveyed[name] = Surveyed(None, shipping, wanted(), problems)
        return Known(tuple(statuses), Survey(surveyed))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path)
    for module in (command, plan_command, fleet_command):
        monkeypatch.setattr(module, "load_inventory", lambda _: made.inventory)
    monkeypatch.setattr(prepared, "ask_fleet", made.ask)
    monkeypatch.setattr(Depot, "resolve", lambda *_: StoredRelease(BUNDLE, lock()))
    monkeypatch.setattr(plan_command, "plan_of", lambda found, *_: _changes(found, made))
    monkeypatch.setattr(begin, "hosts_held", lambda *_, **__: nullcontext())
    monkeypatch.setattr(begin, "activating", lambda *_: nullcontext())
    monkeypatch.setattr(begin, "survey", lambda found: made.ask(found, bare=True).survey)
    monkeypatch.setattr(begin, "Steps", lambda *_: made.fleet)
    return made


def _changes(found: tuple[Target, ...], site: Site) -> dict[str, Changes]:
    return {t.host.name: Changes(site.differs[t.host.name], (), "") for t in found}


def _ran(name: str, *arguments: str | Path) -> Result:
    return CliRunner().invoke(application(name), [name, "prod", *map(str, arguments)])


def _last(site: Site) -> Journal:
    return Journal(max(path for path in rollouts_folder(site.inventory).iterdir() if path.is_dir()))


def test_where_nothing_differs_nothing_is_begun(site: Site) -> None:
    site.differs = dict.fromkeys(site.differs, ())
    found = _ran("rollout")
    assert found.exit_code == 0 and "nothing to change: 3 hosts" in found.stdout, found.output
    assert not rollouts_folder(site.inventory).exists() and site.fleet.did == []
    full = _ran("rollout", "--full")
    assert full.exit_code == 0 and len(site.fleet.did) > 10, full.output


def test_hosts_that_are_as_they_should_be_are_in_no_wave(site: Site) -> None:
    site.differs["h1"] = ()
    found = _ran("rollout")
    assert found.exit_code == 0, found.output
    assert "to 2 hosts in 2 waves, 1 host unchanged" in found.stdout
    assert {host for _, _, hosts in site.fleet.did for host in hosts} == {"h2", "h3"}
    journal = _last(site)
    assert journal.opened.unchanged == ("h1",) and journal.is_closed
    assert (journal.folder / "rollout.html").exists() and (journal.folder / "rollout.xml").exists()


def test_a_host_that_cannot_take_its_release_keeps_all_from_it(site: Site) -> None:
    site.problems["h2"] = "has too little memory"
    found = _ran("rollout")
    assert found.exit_code == 1 and site.fleet.did == []
    assert str(found.exception) == "h2: has too little memory\nRefused: nothing was changed on any host."
    planned = _ran("plan")
    assert planned.exit_code == 1 and "h2: has too little memory" in planned.stderr


def test_as_many_as_may_fail_are_left_out(site: Site) -> None:
    site.set(max_failures="34%")
    site.problems["h2"] = "has too little memory"
    found = _ran("rollout")
    assert found.exit_code == 1  # not every host is as it should be
    assert "left out: h2: has too little memory" in found.stdout and "not on every host: h2" in found.stderr
    assert {host for _, _, hosts in site.fleet.did for host in hosts} == {"h1", "h3"}


def test_a_failed_gate_is_told_in_one_sentence_and_by_the_exit_code(site: Site) -> None:
    site.fleet.failing = {"h1": "verify"}
    found = _ran("rollout")
    assert found.exit_code == 1
    assert (
        "failed: h1: fails in verify" in found.stdout
        and "went back" in (_last(site).folder / "rollout.html").read_text()
    )


def test_a_host_that_cannot_go_back_is_said_to_be_drained_only_where_it_is(site: Site) -> None:
    site.set(canary=0, batches=("2",))
    site.fleet.failing = {"h1": "verify", "h2": "back"}
    assert (
        "h2: could not go back. Look at it, then: sealift rollback prod --limit h2" in _ran("rollout").stderr
    )
    write_drained(site.inventory.hosts[0].settings, {"h2"})
    assert "h2: could not go back, and stays drained. Look at it" in _ran("rollout").stderr


def test_programs_get_an_event_a_line(site: Site) -> None:
    found = _ran("rollout", "--json")
    events = [json.loads(line) for line in found.stdout.splitlines()]
    assert [event["kind"] for event in events[:2]] == ["opened", "began"] and events[-1]["outcome"] == "done"
    assert events == [json.loads(line) for line in (_last(site).folder / JOURNAL).read_text().splitlines()]


def test_one_that_was_cut_off_stands_in_the_way_of_the_next(site: Site) -> None:
    journal = Journal(rollouts_folder(site.inventory) / "prod-20261129T120000Z")
    journal.add(opening(bundle=BUNDLE, code=code_digest()))
    refused = _ran("rollout")
    assert "begun by ann on control at 2026-11-29 12:00:00 UTC" in str(refused.exception)
    assert "--resume. Or take back" in str(
        _ran("apply").exception
    )  # it knows nothing of hosts that are armed
    found = _ran("rollout", "--resume")
    assert found.exit_code == 0 and "resumed by" in found.stdout, found.output
    assert "no rollout is unfinished" in str(_ran("rollout", "--resume").exception)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"code": "sha256:" + "cd" * 32}, "was begun by other deployment code"),
        ({"generations": {"h1": "f" * 12}}, "h1: would be another than when the rollout began"),
        (
            {"before": {"h1": {"release": "demo:2027.1.0", "bundle": BUNDLE}}},
            "which is newer than demo:2026.11.0",
        ),
    ],
)
def test_one_that_would_do_something_else_by_now_does_not_go_on(
    site: Site, more: dict[str, Any], why: str
) -> None:
    journal = Journal(rollouts_folder(site.inventory) / "prod-20261129T120000Z")
    journal.add(opening(**{"bundle": BUNDLE, "code": code_digest()} | more))
    refused = _ran("rollout", "--resume")
    assert why in str(refused.exception) and "--abandon" in str(refused.exception)
    assert site.fleet.did == [] and len(_last(site).events) == 1
    assert "was abandoned by" in _ran("rollout", "--abandon").stdout


def test_what_a_rollout_began_with_lets_it_go_on(site: Site) -> None:
    assert _ran("rollout").exit_code == 0
    opened = _last(site).opened
    assert opened.generations == dict.fromkeys(site.inventory.names, aimed_at(wanted().generation))
    assert opened.plan.startswith("sha256:")


def test_status_tells_of_one_that_was_cut_off_and_not_of_one_that_runs(site: Site) -> None:
    assert cut_off(site.inventory) == ""
    Journal(rollouts_folder(site.inventory) / "prod-20261129T120000Z").add(
        opening(bundle=BUNDLE, code=code_digest())
    )
    assert "has not come to its end" in cut_off(site.inventory)
    with one_rollout(site.inventory.hosts[0].settings.depot):
        assert cut_off(site.inventory) == ""
    assert "has not come to its end" in cut_off(site.inventory)


def test_abandoned_it_ends_and_says_by_whom(site: Site) -> None:
    Journal(rollouts_folder(site.inventory) / "prod-20261129T120000Z").add(
        opening(bundle=BUNDLE, code=code_digest())
    )
    found = _ran("rollout", "--abandon")
    assert found.exit_code == 1 and "was abandoned by" in found.stdout and site.fleet.did == []
    assert _ran("rollout").exit_code == 0


def test_a_plan_is_done_as_it_is_or_not_at_all(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    planned = _ran("plan", "--limit", "h1", "--limit", "h3", "--out", path)
    assert planned.exit_code == 0 and "no rollout was done yet" in planned.stdout, planned.output
    assert json.loads(path.read_text())["waves"] == [["h1"], ["h3"]]
    site.generations["h3"] = "b" * 12
    moved = _ran("rollout", "--plan", path)
    assert "and h3 is another since" in str(moved.exception) and site.fleet.did == []
    site.generations["h3"] = "a" * 12
    site.set(soak_s=0)  # and passes where it would not have
    assert "the fingerprint is another since" in str(_ran("rollout", "--plan", path).exception)
    site.set()
    site.differs["h1"] = (
        "configuration differs",
        "3 blobs missing in the host store",
    )  # shipping changes that
    done = _ran("rollout", "--plan", path)
    assert done.exit_code == 0, done.output
    assert {host for _, _, hosts in site.fleet.did for host in hosts} == {"h1", "h3"}
    assert json.loads(_ran("plan", "--json").stdout)["seconds"] is not None


def test_what_does_not_go_together_is_refused(site: Site, tmp_path: Path) -> None:
    for options in (["--resume", "--abandon"], ["--resume", "--full"], ["--plan", "x", "--limit", "h1"]):
        assert _ran("rollout", *options).exit_code == 2, options
    assert not rollouts_folder(site.inventory).exists()
