"""The commands `sealift drain` and `undrain`: what they tell front doors, write down and print."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from sealift.cli import drain as command
from sealift.cli.main import application
from sealift.depot.store import Depot, StoredRelease
from sealift.errors import SealiftError
from sealift.fleet import generations
from sealift.fleet.generations import Stands
from sealift.fleet.wave import is_running, one_rollout
from sealift.live import drain, stand_in
from sealift.live.push import News, Pushed
from sealift.services import FRONT
from sealift.site.drained import read_drained
from sealift.site.inventory import Host, Inventory
from sealift.ssh import Gathered, Ssh
from tests.unit import samples
from tests.unit.back_site import OLD
from tests.unit.fleet_site import BUNDLE, lock, three_hosts

_STANDS = generations.stands
_WELL = Pushed("h1", True, True, "", 0.5)
_SILENT = Pushed(
    "h2", False, True, "its front door does not say that it goes by the new list of hosts.", 10.0
)


class Site:
    """A site with three hosts, two of them front doors that are none."""

    def __init__(self, folder: Path) -> None:
        settings = three_hosts(folder)
        groups = {"h1": FRONT.groups, "h2": FRONT.groups, "h3": frozenset[str]()}
        hosts = tuple(Host(name, frozenset(of), settings) for name, of in groups.items())
        self.inventory = Inventory("prod", folder / "prod.py", hosts)
        self.told: list[dict[str, str]] = []  # what front doors were told of each host
        self.stands: dict[str, Stands] = {}
        self.releases: list[str] = []  # by which front doors are told
        self.outcome = (_WELL, Pushed("h2", True, True, "", 0.7))
        self.running: Iterator[dict[str, int]] = iter(
            [{"h1": 2, "h2": 1}, {"h1": 0, "h2": 1}, {"h1": 0, "h2": 0}]
        )

    def limit(self, drain_s: int) -> None:
        settings = self.inventory.hosts[0].settings
        rollout = settings.rollout.model_copy(update={"drain_s": drain_s})
        new = settings.model_copy(update={"rollout": rollout})
        hosts = tuple(replace(host, settings=new) for host in self.inventory.hosts)
        self.inventory = replace(self.inventory, hosts=hosts)

    @property
    def drained(self) -> set[str]:
        return set(read_drained(self.inventory.hosts[0].settings))

    def push(self, doors: Inventory, news: Callable[[Host], News], _: object) -> tuple[Pushed, ...]:
        assert doors.names == ("h1", "h2")
        (file,) = news(doors.hosts[0]).files.values()
        (endpoints,) = yaml.safe_load(file.content)["resources"][0]["endpoints"]
        found = {each["endpoint"]["hostname"]: each["health_status"] for each in endpoints["lb_endpoints"]}
        self.told.append(found)
        self.releases = [host.settings.release for host in doors.hosts]
        return self.outcome


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path)
    monkeypatch.setattr(command, "load_inventory", lambda _: made.inventory)
    monkeypatch.setattr(stand_in, "_PAUSE_S", 0)
    monkeypatch.setattr(command, "still_running", lambda *_: next(made.running))
    monkeypatch.setattr(drain, "push", made.push)
    monkeypatch.setattr(generations, "stands", lambda *_: Gathered(made.stands, {}))
    monkeypatch.setattr(Depot, "resolve", lambda *_: StoredRelease(BUNDLE, lock()))
    return made


def _ran(*arguments: str) -> Result:
    return CliRunner().invoke(application(arguments[0]), [arguments[0], "prod", *arguments[1:]])


def test_a_drained_host_is_written_down_and_told_to_every_front_door(site: Site) -> None:
    found = _ran("drain", "h3")
    assert found.exit_code == 0, found.output
    assert site.drained == {"h3"}
    assert site.told == [{"h1": "HEALTHY", "h2": "HEALTHY", "h3": "DRAINING"}]
    assert "h1: confirmed after 0.5 s, 2 requests still run on h3" in found.stdout
    assert "h2: confirmed after 0.7 s, 1 request still runs on h3" in found.stdout
    site.running = iter([{"h1": 0, "h2": 0}])
    assert _ran("drain", "h3").exit_code == 0 and site.drained == {"h3"}  # once more changes nothing
    assert _ran("undrain", "h3").exit_code == 0 and site.drained == set()
    assert site.told[-1] == {"h1": "HEALTHY", "h2": "HEALTHY", "h3": "HEALTHY"}


def test_front_doors_are_told_by_the_releases_that_hosts_run(site: Site) -> None:
    named = site.inventory.hosts[0].settings.release
    site.stands = {"h1": Stands(OLD, None, (OLD,))}
    for each in ("drain", "undrain"):
        assert _ran(each, "h3").exit_code == 0
        assert site.releases == [f"demo@{OLD.bundle}", named]


@pytest.mark.parametrize("each", ["drain", "undrain"])
def test_hosts_are_asked_what_they_run_when_no_rollout_can_change_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, each: str
) -> None:
    depot = tmp_path / "depot"
    depot.mkdir()
    settings = site.inventory.hosts[0].settings.model_copy(update={"depot": depot})
    hosts = tuple(replace(host, settings=settings) for host in site.inventory.hosts)
    site.inventory = replace(site.inventory, hosts=hosts)
    held: list[bool] = []

    def stands(*_: object) -> Gathered[Stands]:
        held.append(is_running(depot))
        return Gathered({}, {})

    monkeypatch.setattr(generations, "stands", stands)
    assert _ran(each, "h3").exit_code == 0 and held == [True]
    with one_rollout(depot):
        assert "another rollout is running" in str(_ran(each, "h3").exception)
    assert held == [True]  # nobody was asked in vain


def test_a_host_that_hangs_delays_nobody_who_drains_another(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def hang(ssh: Ssh, *_: str, timeout_s: float = 60) -> str:
        waited.append(timeout_s)
        raise SealiftError(f"{ssh.host}: no answer within {timeout_s:.0f} s.")

    monkeypatch.setattr(generations, "stands", _STANDS)
    monkeypatch.setattr(Ssh, "run", hang)
    assert _ran("drain", "h3").exit_code == 0 and waited == [10, 10, 10]


def test_a_drained_host_whose_release_answers_nothing_any_more_is_undrained(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a rollback to a release in which it had no role."""
    nothing = lock(samples.release(roles={"chat": {"model": samples.MODEL, "groups": ["front"]}}))

    def resolve(_: Depot, reference: str) -> StoredRelease:
        return StoredRelease(BUNDLE, nothing if OLD.bundle in reference else lock())

    assert _ran("drain", "h3").exit_code == 0 and site.drained == {"h3"}
    monkeypatch.setattr(Depot, "resolve", resolve)
    site.stands = {"h3": Stands(OLD, None, (OLD,))}
    found = _ran("undrain", "h3")
    assert (found.exit_code, site.drained) == (0, set()), found.exception
    assert "no front door sends it anything" in str(_ran("undrain", "h3").exception)


def test_waiting_ends_when_nothing_runs(site: Site) -> None:
    found = _ran("drain", "h3", "--wait")
    assert found.exit_code == 0 and "h3: nothing runs there any more" in found.stdout
    assert next(site.running, None) is None


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_waiting_ends_when_a_rollout_would_not_wait_longer(site: Site, form: tuple[str, ...]) -> None:
    site.running = itertools.repeat({"h1": 0, "h2": 1})
    site.limit(drain_s=0)
    found = _ran("drain", "h3", "--wait", *form)
    assert found.exit_code == 1 and "nothing runs there" not in found.stdout
    assert "h3: 1 request still runs there after 0 s (rollout.drain_s), expected none" in found.stderr
    assert site.drained == {"h3"}
    if form:
        assert [each["running"] for each in json.loads(found.stdout)["front_doors"]] == [0, 1]
    assert _ran("drain", "h3", *form).exit_code == 0  # who does not wait, does not mind


def test_programs_get_all_of_it(site: Site) -> None:
    said = json.loads(_ran("drain", "h3", "--wait", "--json").stdout)
    assert [(each["host"], each["confirmed"], each["running"]) for each in said["front_doors"]] == [
        ("h1", True, 0),
        ("h2", True, 0),
    ]


def test_a_front_door_that_has_not_confirmed_is_an_error_and_the_host_stays_drained(site: Site) -> None:
    site.outcome = (_WELL, _SILENT)
    site.running = iter([{"h1": 0}])
    found = _ran("drain", "h3", "--wait")
    assert found.exit_code == 1 and site.drained == {"h3"}
    assert "nothing runs there" not in found.stdout
    assert _SILENT.problem in found.stderr and "run this command again" in found.stderr


def test_the_last_host_of_a_role_is_drained_only_when_that_is_said(site: Site) -> None:
    for host in ("h2", "h3"):
        site.running = iter([{"h1": 0, "h2": 0}])
        assert _ran("drain", host).exit_code == 0
    refused = _ran("drain", "h1")
    assert isinstance(refused.exception, SealiftError)
    assert str(refused.exception).startswith("h1: no other host that is not drained answers chat")
    assert site.drained == {"h2", "h3"}
    site.running = iter([{"h1": 0, "h2": 0}])
    assert _ran("drain", "h1", "--last").exit_code == 0 and site.drained == {"h1", "h2", "h3"}
    site.running = iter([{"h1": 0, "h2": 0}])
    assert _ran("drain", "h1").exit_code == 0  # it is already


def test_a_host_that_no_front_door_knows_is_refused(site: Site) -> None:
    refused = _ran("drain", "h4")
    assert str(refused.exception) == "h4: no front door sends it anything, expected one of: h1, h2, h3."
    site.inventory = Inventory("prod", Path("prod.py"), site.inventory.hosts[2:])
    assert "has no front door, expected a host in the group front" in str(_ran("undrain", "h3").exception)
