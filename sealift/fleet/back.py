"""Hosts go back to what they were, by hand: each out of its own store, then held against its record.

All at once here; `sealift/rollout/going_back.py` has them go in waves, behind front doors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from sealift.errors import SealiftError
from sealift.fleet.generations import Stands, go_back, stands
from sealift.fleet.host_lock import hosts_held, owner
from sealift.fleet.recorded import differences
from sealift.fleet.wave import one_rollout
from sealift.site.inventory import Host, Inventory


@dataclass(frozen=True)
class Outcome:
    """What came of it on a host.

    + release: that it is on
    + did: what it did, by line
    + differs: from its record, afterwards
    + error: why it did not go back, or nothing is known; empty where neither is so
    + stays_drained: whether front doors send it nothing any more, since it was drained to go back
    """

    release: str
    did: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    error: str = ""
    stays_drained: bool = False

    @property
    def ok(self) -> bool:
        """Whether it is what its record says."""
        return not (self.error or self.differs)


def can_go_back(inventory: Inventory, to: str | None = None) -> Mapping[str, Stands]:
    """The generations of hosts that can all go back.

    + to: id of a generation; else the last good one of each host

    Raises SealiftError with a line for each host that cannot, or does not answer, and
    the command for the others.
    """
    found = stands(inventory.hosts)
    problems = [str(error) for error in found.errors.values()]
    for name, each in found.results.items():
        if each.back(to) is None:
            problems.append(f"{name}: {_nothing(each, to)}")
    if problems:
        can = [name for name in inventory.names if name in found.results and found.results[name].back(to)]
        others = [f"The others can go back: {_of_these(inventory, can, to)}"] if can else []
        raise SealiftError("\n".join((*problems, "Refused: nothing was changed on any host.", *others)))
    return found.results


def _of_these(inventory: Inventory, can: Sequence[str], to: str | None) -> str:
    """The command by which these hosts go back, and no other of the site."""
    limits = "".join(f" --limit {name}" for name in can)
    excludes = "".join(f" --exclude {name}" for name in inventory.whole.names if name not in can)
    return f"sealift rollback {inventory.name}{min(limits, excludes, key=len)}{f' --to {to}' if to else ''}"


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
    others = [each.id for each in stands.kept if each.restorable and each.id != stands.current.id]
    what = f"has no generation {to}" if to else "has no generation before the one in force"
    if not others:
        return f"{what}, and no other one to go back to, expected one. Apply the release that it is to have."
    has = ", ".join(others)
    return f"{what}, expected one to go back to. It could go to: {has}. Or apply that release again."


def roll_back(inventory: Inventory, to: str | None = None) -> Mapping[str, Outcome]:
    """Have hosts go back, all at once, and hold each against the record of what it is then.

    + to: id of a generation; else the last good one of each host

    Raises SealiftError where another rollout is running.
    """
    with all_held(inventory):
        return went_back(inventory.hosts, to)


@contextmanager
def all_held(inventory: Inventory, told: Sequence[Host] = ()) -> Iterator[None]:
    """Hold the locks of the depots of hosts, and their own.

    + told: front doors, which may not answer: they need not go back

    Raises SealiftError where another rollout is running, or a host that is to go back does not answer.
    """
    others = [host for host in told if host.name not in inventory.names]
    with ExitStack() as held:
        for depot in sorted({host.settings.depot for host in (*inventory.hosts, *others)}):
            depot.mkdir(parents=True, exist_ok=True)  # it may be lost: nothing of it is needed
            held.enter_context(one_rollout(depot))
            for hosts, lost_too in ((inventory.hosts, False), (others, True)):
                own = [host.ssh for host in hosts if host.settings.depot == depot]
                if own:
                    held.enter_context(hosts_held(own, owner(depot), lost_too))
        yield


def went_back(hosts: Sequence[Host], to: str | None = None) -> Mapping[str, Outcome]:
    """Have hosts go back, and hold each against the record of what it is then. The locks are held already.

    + to: id of a generation; else the last good one of each host
    """
    gone = go_back(hosts, to)
    compared = differences([host for host in hosts if host.name in gone.results])
    now = stands(hosts)
    return {
        name: Outcome(
            release=current.release if (of := now.results.get(name)) and (current := of.current) else "",
            did=tuple(gone.results.get(name, "").splitlines()),
            differs=compared.results.get(name, ()),
            error=str(gone.errors.get(name) or compared.errors.get(name) or ""),
        )
        for name in (host.name for host in hosts)
    }
