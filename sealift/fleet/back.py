"""Hosts go back to what they were, by hand: each out of its own store, then held against its record."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from sealift.errors import SealiftError
from sealift.fleet.generations import Stands, go_back, stands
from sealift.fleet.host_lock import hosts_held, owner
from sealift.fleet.recorded import differences
from sealift.fleet.wave import one_rollout
from sealift.site.inventory import Inventory


@dataclass(frozen=True)
class Outcome:
    """What came of it on a host.

    + release: that it is on
    + did: what it did, by line
    + differs: from its record, afterwards
    + error: why it did not go back, or nothing is known; empty where neither is so
    """

    release: str
    did: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is what its record says."""
        return not (self.error or self.differs)


def can_go_back(inventory: Inventory, to: str | None = None) -> Mapping[str, Stands]:
    """The generations of hosts that can all go back.

    + to: id of a generation; else the last good one of each host

    Raises SealiftError with a line for each host that cannot, or does not answer.
    """
    found = stands(inventory.hosts)
    problems = [str(error) for error in found.errors.values()]
    for name, each in found.results.items():
        if each.back(to) is None:
            problems.append(f"{name}: {_nothing(each, to)}")
    if problems:
        raise SealiftError("\n".join((*problems, "Refused: nothing was changed on any host.")))
    return found.results


def _nothing(stands: Stands, to: str | None) -> str:
    """Why a host cannot go back."""
    wanted = next((each for each in stands.kept if each.id == to), None) if to else stands.previous
    if stands.current is None:
        return "nothing is deployed there, expected a generation to go back from. Run sealift apply."
    if wanted:
        return (
            f"{wanted.release} ({wanted.id}) is of an older sealift and has no record, expected one by which "
            "the host goes back. Apply that release again."
        )
    has = ", ".join(each.id for each in stands.kept if each.restorable) or "none"
    what = f"has no generation {to}" if to else "has no generation before the one in force"
    return f"{what}, expected one to go back to. It could go to: {has}. Or apply that release again."


def roll_back(inventory: Inventory, to: str | None = None) -> Mapping[str, Outcome]:
    """Have hosts go back, all at once, and hold each against the record of what it is then.

    + to: id of a generation; else the last good one of each host

    Raises SealiftError where another rollout is running.
    """
    with ExitStack() as held:
        for depot in sorted({host.settings.depot for host in inventory.hosts}):
            depot.mkdir(parents=True, exist_ok=True)  # it may be lost: nothing of it is needed
            held.enter_context(one_rollout(depot))
            own = [host.ssh for host in inventory.hosts if host.settings.depot == depot]
            held.enter_context(hosts_held(own, owner(depot)))
        gone = go_back(inventory.hosts, to)
        compared = differences([host for host in inventory.hosts if host.name in gone.results])
        now = stands(inventory.hosts)
    return {
        name: Outcome(
            release=current.release if (of := now.results.get(name)) and (current := of.current) else "",
            did=tuple(gone.results.get(name, "").splitlines()),
            differs=compared.results.get(name, ()),
            error=str(gone.errors.get(name) or compared.errors.get(name) or ""),
        )
        for name in inventory.names
    }
