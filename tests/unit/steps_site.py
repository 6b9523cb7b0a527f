"""A site whose front doors write down what they are told in the steps of a rollout; no host is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sealift.depot.store import Depot, StoredRelease
from sealift.errors import SealiftError
from sealift.fleet import generations
from sealift.fleet.generations import Kept, Stands
from sealift.fleet.survey import Target
from sealift.fleet.wave import HostResult, Watch, WaveResult
from sealift.live import drain
from sealift.live.push import News, Pushed
from sealift.progress import silent
from sealift.release.locked import Lock
from sealift.rollout import front_doors
from sealift.rollout import steps as module
from sealift.rollout.course import Step
from sealift.rollout.engine import Done
from sealift.rollout.events import Event
from sealift.rollout.steps import Shown, Steps
from sealift.services import FRONT
from sealift.site.drained import read_drained, write_drained
from sealift.site.inventory import Host, Inventory
from sealift.ssh import Gathered
from tests.unit import samples
from tests.unit.fleet_site import DATA, lock, three_hosts

_WHEN = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
OLD = Kept("a" * 12, "demo:2026.10.0", "sha256:" + "1" * 64, _WHEN, True)
NEW = Kept("b" * 12, DATA["release"], "sha256:" + "2" * 64, _WHEN, True)
_ENTRY = re.compile(rb'health_status: (\w+)\s.*?hostname: "(\w+)".*?role: \[([^\]]*)\]', re.DOTALL)


@contextmanager
def _nothing(*_: object) -> Iterator[Any]:
    yield lambda _: None


@contextmanager
def _watch() -> Iterator[Watch]:
    yield Watch(at=lambda _: None, tell=lambda _: None)


@contextmanager
def _progress() -> Iterator[Any]:
    yield silent


class Site:
    """Three hosts behind front doors, which say that they go by what they are told.

    + told: drained hosts, by what front doors were told
    + said: the list that they were told, each host with its roles
    + runs, before: generations of hosts
    + roles: of the releases, by bundle
    """

    def __init__(self, folder: Path, doors: Sequence[str] = ("h1", "h2")) -> None:
        settings = three_hosts(folder, depot=str(folder / "depot"), rollout={"drain_s": 0})
        groups = {f"h{n}": FRONT.groups if f"h{n}" in doors else frozenset[str]() for n in (1, 2, 3)}
        hosts = tuple(Host(name, frozenset(of), settings) for name, of in groups.items())
        self.inventory = Inventory("prod", folder / "prod.py", hosts)
        self.told: list[frozenset[str]] = []
        self.said: list[str] = []
        self.rounds = 0
        self.asked = 0
        self.runs: dict[str, Kept | None] = dict.fromkeys(groups, NEW)
        self.before: dict[str, Kept | None] = {}
        self.silent: set[str] = set()
        self.roles: dict[str, tuple[str, ...]] = {OLD.bundle: ("chat",), NEW.bundle: ("chat",)}
        shown = Shown(_progress, _watch, _progress, _nothing)
        targets = tuple(Target(host, StoredRelease(NEW.bundle, self.lock(NEW))) for host in hosts)
        self.steps = Steps(self.inventory, Depot(folder / "depot"), targets, folder, shown, self.permit)

    @property
    def drained(self) -> frozenset[str]:
        return read_drained(self.inventory.hosts[0].settings)

    def permit(self) -> None:
        self.asked += 1

    def drain(self, *hosts: str) -> None:
        write_drained(self.inventory.hosts[0].settings, hosts)

    def lock(self, kept: Kept) -> Lock:
        return lock(samples.release(roles={r: {"model": samples.MODEL} for r in self.roles[kept.bundle]}))

    def resolve(self, _: Depot, reference: str) -> StoredRelease:
        for kept in (OLD, NEW):
            if reference in (kept.release, f"demo@{kept.bundle}") and kept.bundle in self.roles:
                return StoredRelease(kept.bundle, self.lock(kept))
        raise SealiftError(f"{reference}: not in the depot.")

    def push(self, doors: Inventory, news: Callable[[Host], News], *_: object) -> tuple[Pushed, ...]:
        self.told.append(self.drained)
        (file,) = news(doors.hosts[0]).files.values()
        self.said.append(
            " ".join(
                f"{'-' if health == b'DRAINING' else ''}{name.decode()}:{_roles(roles)}"
                for health, name, roles in _ENTRY.findall(file.content)
            )
        )
        return tuple(Pushed(d, bool(self.runs[d]), bool(self.runs[d]), "", 0.1) for d in doors.names)

    def stands(self, hosts: Sequence[Host], *_: float) -> Gathered[Stands]:
        self.rounds += 1
        names = [host.name for host in hosts]
        return Gathered(
            {n: Stands(self.runs[n], self.before.get(n), ()) for n in names if n not in self.silent},
            {n: SealiftError(f"{n}: does not answer") for n in names if n in self.silent},
        )

    def arm(self, hosts: Sequence[Host], _: int) -> Gathered[str]:
        self.before |= {host.name: self.runs[host.name] for host in hosts}
        return gathered(hosts)

    def go_back(self, hosts: Sequence[Host]) -> Gathered[str]:
        self.runs |= {host.name: self.before[host.name] for host in hosts}
        return gathered(hosts)

    def apply(self, inventory: Inventory, log: Path, _: Watch) -> WaveResult:
        self.runs |= dict.fromkeys(inventory.names, NEW)
        return WaveResult({n: HostResult(("a",), (), 1) for n in inventory.names}, 0, log)

    def do(self, step: Step, events: list[Event]) -> Done:
        notes = step.begun.notes if step.begun else self.steps.notes(step, events)
        return self.steps.do(step, notes, events)

    def take_the_place_of_hosts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(drain, "push", self.push)
        monkeypatch.setattr(Depot, "resolve", lambda depot, reference: self.resolve(depot, reference))
        monkeypatch.setattr(module, "firing_now", lambda *_: None)
        monkeypatch.setattr(module, "apply_wave", self.apply)
        monkeypatch.setattr(
            front_doors,
            "all_running",
            lambda fronts, hosts: {door: dict.fromkeys(hosts, 0) for door in fronts.doors.names},
        )
        for name, act in {
            "stands": self.stands,
            "keep": lambda hosts, _: gathered(hosts),
            "arm": self.arm,
            "confirm": gathered,
            "go_back": self.go_back,
        }.items():
            monkeypatch.setattr(generations, name, act)


def _roles(said: bytes) -> str:
    names = re.findall(r'"([^"]*)"', said.decode())
    return ",".join(name for name in names if name != samples.MODEL.removesuffix(":latest"))


def gathered(hosts: Sequence[Host]) -> Gathered[str]:
    """All did what they were told."""
    return Gathered({host.name: "" for host in hosts}, {})
