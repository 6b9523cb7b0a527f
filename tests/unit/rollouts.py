"""Rollouts over hosts that are not there: each act changes a little model of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sealift.rollout.course import Step, ours
from sealift.rollout.engine import Done
from sealift.rollout.events import Event, Opened
from sealift.rollout.journal import Journal

THREE = (("h3",), ("h1",), ("h2",))
START = datetime(2026, 11, 29, 12, tzinfo=UTC)


def opening(waves: tuple[tuple[str, ...], ...] = THREE, **more: object) -> Opened:
    """The first event of a rollout."""
    values = {
        "at": START,
        "rollout": "prod-20261129T120000Z",
        "inventory": "prod",
        "release": "demo:2",
        "bundle": "sha256:" + "ab" * 32,
        "code": "sha256:" + "cd" * 32,
        "who": "ann",
        "node": "control",
        "waves": waves,
        "canary": True,
        "allowed": 0,
        "on_failure": "wave",
        **more,
    }
    return Opened.model_validate(values)


@dataclass
class Machine:
    """A host: which generation runs and is the good one, and whether it is drained or armed."""

    runs: str = "old"
    good: str = "old"
    drained: bool = False
    armed: bool = False


class KilledError(Exception):
    """The control process is gone."""


@dataclass
class Fleet:
    """Hosts, and the acts on them.

    + failing: in which phase a host fails
    + went_back: hosts that did so by themselves when they are next asked
    """

    names: tuple[str, ...] = ("h1", "h2", "h3")
    failing: Mapping[str, str] = field(default_factory=dict)
    went_back: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.hosts = {name: Machine() for name in self.names}
        self.did: list[tuple[str, int, tuple[str, ...]]] = []

    def wait(self, step: Step, events: list[Event]) -> None:
        """Not here."""

    def notes(self, step: Step, events: list[Event]) -> Mapping[str, str]:
        """Which are drained by the rollout: others were before."""
        known = ours(events)
        if step.phase in ("drain", "leave"):
            return {host: "" for host in step.hosts if not self.hosts[host].drained or host in known}
        return {}

    def do(self, step: Step, notes: Mapping[str, str], events: list[Event]) -> Done:
        """Change the model as hosts would change."""
        self.did.append((step.phase, step.wave, step.hosts))
        failed = {host: f"fails in {p}" for host, p in self.failing.items() if p == step.phase}
        failed = {host: why for host, why in failed.items() if host in step.hosts}
        for name in (name for name in step.hosts if name not in failed):
            host = self.hosts[name]
            if step.phase in ("drain", "leave") and name in notes:
                host.drained = True
            elif step.phase in ("undrain", "return") and name in ours(events):
                host.drained = False
            elif step.phase == "arm":
                if not host.armed:
                    host.good = host.runs
                host.armed = True
            elif step.phase == "apply":
                assert host.armed, f"{name} is changed and could not go back"
                host.runs = "new"
            elif step.phase == "confirm":
                host.armed = False
            elif step.phase == "back":
                host.runs, host.armed = host.good, False
        for name in failed:
            if step.phase == "apply":
                self.hosts[name].runs = "half"
        return Done(failed)

    def returned(self, hosts: tuple[str, ...]) -> frozenset[str]:
        """Those that went back by themselves."""
        found = self.went_back & set(hosts)
        for host in found:
            self.hosts[host].runs, self.hosts[host].armed = "old", False
        self.went_back = frozenset()
        return found

    @property
    def runs(self) -> dict[str, str]:
        """What each host runs."""
        return {name: host.runs for name, host in self.hosts.items()}

    @property
    def left(self) -> set[str]:
        """Hosts that were not left in order."""
        return {name for name, host in self.hosts.items() if host.drained or host.armed}


class KillingJournal(Journal):
    """Kills the control process at one of its events: before it is on the disk, or after."""

    def __init__(self, folder: Path, at: int, after: bool) -> None:
        """+ at: which event of this process, from 1; 0 is never."""
        super().__init__(folder)
        self._left, self._after = at, after

    def add(self, event: Event) -> None:
        """Write it, or do not, and be gone."""
        self._left -= 1
        if self._left == 0 and not self._after:
            raise KilledError
        super().add(event)
        if self._left == 0:
            raise KilledError
