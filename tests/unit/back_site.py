"""A site whose hosts go back and are not there: what happens to them is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sealift.errors import SealiftError
from sealift.fleet.back import Outcome
from sealift.fleet.generations import Kept, Stands
from sealift.live.push import Pushed
from sealift.rollout.going_back import Heard, roll_back_in_waves
from sealift.rollout.way_back import Way, way_back
from sealift.services import FRONT
from sealift.site.drained import read_drained, write_drained
from sealift.site.inventory import Host, Inventory
from sealift.ssh import Gathered
from tests.unit.fleet_site import three_hosts

_WHEN = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
OLD = Kept("a" * 12, "demo:1", "sha256:" + "1" * 64, _WHEN, True)
NEW = Kept("b" * 12, "demo:2", "sha256:" + "2" * 64, _WHEN, True)
DOORS = ("h1", "h2")


class Site:
    """Three hosts, two of them front doors. What happens to them is written down, in order."""

    def __init__(self, folder: Path) -> None:
        rollout = {"drain_s": 0, "canary": 1, "batches": ("100%",)}
        settings = three_hosts(folder, depot=str(folder / "depot"), rollout=rollout)
        groups = {"h1": FRONT.groups, "h2": FRONT.groups, "h3": frozenset[str]()}
        hosts = tuple(Host(name, frozenset(of), settings) for name, of in groups.items())
        self.inventory = Inventory("prod", folder / "prod.py", hosts)
        self.standing = {host.name: Stands(NEW, OLD, (OLD, NEW)) for host in hosts}
        self.did: list[str] = []
        self.lines: list[str] = []
        self.wrong: list[str] = []
        self.bad: set[str] = set()
        self.sick: Callable[[], frozenset[str]] = frozenset
        self.silent: set[str] = set()
        self.running: Mapping[str, int] = {}
        self.goes: Callable[[Host], None] = lambda _: None  # while a host goes back

    @property
    def drained(self) -> frozenset[str]:
        return read_drained(self.inventory.hosts[0].settings)

    def drain(self, *hosts: str) -> None:
        write_drained(self.inventory.hosts[0].settings, hosts)

    def push(self, doors: Inventory, *_: object) -> tuple[Pushed, ...]:
        self.did.append(f"told {','.join(sorted(self.drained)) or '-'}")
        lost = "does not answer over SSH"
        return tuple(
            Pushed(door, door not in self.silent, True, lost if door in self.silent else "", 0.1)
            for door in doors.names
        )

    def by_door(self, doors: Sequence[str], value: Any) -> Any:
        errors = {door: SealiftError(f"{door}: does not answer") for door in doors if door in self.silent}
        return Gathered({door: value for door in doors if door not in errors}, errors)

    def went_back(self, hosts: Sequence[Host], to: str | None = None) -> Mapping[str, Outcome]:
        self.did.append(f"back {','.join(host.name for host in hosts)}{f' to {to}' if to else ''}")
        for host in hosts:
            self.goes(host)
        bad = {name: f"{name}: is not yet back" for name in self.bad}
        return {host.name: Outcome("demo:1", error=bad.get(host.name, "")) for host in hosts}

    @contextmanager
    def waiting(self, _: str) -> Iterator[Callable[[str], None]]:
        yield lambda _: None

    def way(self, *limit: str, to: str | None = None) -> Way:
        site = self.inventory.limited(limit)
        found = way_back(site, {name: self.standing[name] for name in site.names}, to)
        assert found is not None
        return found

    def roll_back(self, *limit: str, to: str | None = None) -> Mapping[str, Outcome]:
        return self.go(self.way(*limit, to=to))

    def go(self, way: Way) -> Mapping[str, Outcome]:
        return roll_back_in_waves(
            way, Heard(self.lines.append, self.wrong.append, lambda *_: None, self.waiting)
        )
