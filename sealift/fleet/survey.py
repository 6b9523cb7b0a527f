"""All hosts at once, before a change: what each lacks of its release, and what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sealift.depot.needed import needed_blobs
from sealift.depot.store import Depot, StoredRelease
from sealift.errors import SealiftError
from sealift.host.model_fit import choose
from sealift.host.preflight import PROBE, check, parse_probe, room_of
from sealift.host_paths import BLOBS, PARTIAL
from sealift.release.roles import Answers, first_choices
from sealift.ship.plan import LISTING, ShipPlan, parse_listing, plan
from sealift.ship.types import Order
from sealift.site.inventory import Host, Inventory
from sealift.ssh import Ssh, on_all

_SCRIPT = f"{LISTING}\nlisting {BLOBS} {PARTIAL}\n{PROBE}"


@dataclass(frozen=True)
class Target:
    """A host and the release it is to run."""

    host: Host
    stored: StoredRelease

    @property
    def release(self) -> str:
        """The release as `NAME:VERSION`."""
        return self.stored.lock.release.reference

    @property
    def order(self) -> Order:
        """What it needs in its store."""
        blobs = needed_blobs(self.stored.lock, self.host.groups)
        return Order(self.host.name, self.host.settings.ssh_config_file, blobs)


@dataclass(frozen=True)
class Survey:
    """What was found.

    + plans: what has to be shipped, by host; those that did not answer have none
    + problems: a line each, with the host's name in front
    """

    plans: Mapping[str, ShipPlan]
    problems: tuple[str, ...]


def targets(inventory: Inventory) -> tuple[Target, ...]:
    """Look up every host's release in the depot.

    Raises SealiftError where the depot does not have it.
    """
    wanted = {(host.settings.depot, host.settings.release) for host in inventory.hosts}
    found = {(depot, release): Depot(depot).resolve(release) for depot, release in sorted(wanted)}
    return tuple(Target(host, found[host.settings.depot, host.settings.release]) for host in inventory.hosts)


def only_depot(inventory: Inventory) -> Depot:
    """The depot of all hosts. Raises SealiftError where they have several: a rollout is of one site."""
    depots: set[Path] = {host.settings.depot for host in inventory.hosts}
    if len(depots) != 1:
        listed = ", ".join(sorted(map(str, depots)))
        raise SealiftError(
            f"{inventory.path}: has several depots ({listed}), expected one. Set it in all.py."
        )
    return Depot(depots.pop())


def survey(found: tuple[Target, ...]) -> Survey:
    """Ask all hosts at once, by one SSH command each that changes nothing.

    + found: whom
    """
    by_name = {target.host.name: target for target in found}
    gathered = on_all(list(by_name), lambda name: _ask(by_name[name]))
    problems = {name: str(error).splitlines() for name, error in gathered.errors.items()}
    for name, (_, said) in gathered.results.items():
        problems[name] = list(said)
    return Survey(
        {name: shipping for name, (shipping, _) in gathered.results.items()},
        tuple(line for name in by_name for line in problems[name]),
    )


def answers_of(found: tuple[Target, ...]) -> Mapping[str, Answers]:
    """By host, which models answer its roles, as its memory has it.

    A release without fallbacks needs no host asked. A host that does not answer is taken to be large enough.
    """
    by_name = {target.host.name: target for target in found}
    lock_of = {name: target.stored.lock for name, target in by_name.items()}
    small = [name for name, lock in lock_of.items() if any(r.fallback for r in lock.release.roles.values())]
    asked = on_all(small, lambda name: _choice(by_name[name]))
    return {name: asked.results.get(name, first_choices(lock.release)) for name, lock in lock_of.items()}


def _choice(target: Target) -> Answers:
    host, lock = target.host, target.stored.lock
    facts = parse_probe(host.name, Ssh(host.name, host.settings.ssh_config_file).run(PROBE))
    return choose(lock, host.settings.ollama, room_of(facts, host.settings, host.groups)).answers


def _ask(target: Target) -> tuple[ShipPlan, tuple[str, ...]]:
    name, settings, order = target.host.name, target.host.settings, target.order
    said = Ssh(name, settings.ssh_config_file).run(_SCRIPT)
    now = datetime.now(UTC)
    shipping = plan(order.blobs, parse_listing(name, said.splitlines()))
    facts = parse_probe(name, said)
    problems = check(name, facts, settings, target.stored.lock, target.host.groups, shipping.bytes_total, now)
    return shipping, tuple(map(str, problems))
