"""All hosts at once, before a change: what each is to be, what it lacks, and what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sealift.depot.needed import needed_blobs
from sealift.depot.store import Depot, StoredRelease
from sealift.errors import SealiftError
from sealift.fleet.behind import Fleets, stored_releases
from sealift.fleet.host_lock import lock_problem, owner
from sealift.host.engine import asking
from sealift.host.fleet import ALONE, Fleet
from sealift.host.model_fit import choose
from sealift.host.preflight import check, room_of, twins
from sealift.host.probe import (
    QUESTIONS,
    HostFacts,
    HostRoom,
    parse_probe,
    parse_room,
    probe_script,
    room_script,
    shell_problems,
)
from sealift.host.settings import SiteSettings
from sealift.host.wanted import Wanted, want
from sealift.release.roles import Answers, first_choices
from sealift.ship.plan import Have, ShipPlan, listing_script, parse_listing, plan
from sealift.ship.types import Order
from sealift.site.check import site_problems
from sealift.site.inventory import Host, Inventory
from sealift.site.site_files import open_site_files
from sealift.ssh import on_all


@dataclass(frozen=True)
class Target:
    """A host and the release it is to run.

    + fleet: what it has to know of others
    """

    host: Host
    stored: StoredRelease
    fleet: Fleet = ALONE

    @property
    def release(self) -> str:
        """The release as `NAME:VERSION`."""
        return self.stored.lock.release.reference

    @property
    def order(self) -> Order:
        """What it needs in its store."""
        blobs = needed_blobs(self.stored.lock, self.host.groups)
        its = self.host.settings
        return Order(self.host.ssh, blobs, its.ship_port, its.ship_address, its.rate, its.rate_total)


@dataclass(frozen=True)
class Surveyed:
    """What was found out about a host.

    + facts: what it is; None where it did not answer
    + plan: what has to be shipped; None as well
    + wanted: what it is to be; None where that cannot be said
    + problems: what keeps it from its release, a line each, with its name in front
    + have: what its store has; None where it did not answer
    """

    facts: HostFacts | None = None
    plan: ShipPlan | None = None
    wanted: Wanted | None = None
    problems: tuple[str, ...] = ()
    have: Have | None = None


@dataclass(frozen=True)
class Survey:
    """What was found out about hosts, by their names."""

    hosts: Mapping[str, Surveyed]

    @property
    def plans(self) -> Mapping[str, ShipPlan]:
        """What has to be shipped; those that did not answer have none."""
        return {name: found.plan for name, found in self.hosts.items() if found.plan}

    @property
    def wanted(self) -> Mapping[str, Wanted]:
        """What each is to be, as far as that can be said."""
        return {name: found.wanted for name, found in self.hosts.items() if found.wanted}

    @property
    def problems(self) -> tuple[str, ...]:
        """A line each, with the host's name in front."""
        return tuple(line for found in self.hosts.values() for line in found.problems)


def targets(inventory: Inventory) -> tuple[Target, ...]:
    """Look up every host's release in the depot.

    Raises SealiftError where the depot does not have it.
    """
    found = stored_releases(inventory.hosts)
    pairs = [(host, found[host.settings.depot, host.settings.release]) for host in inventory.hosts]
    fleets = Fleets(lambda: inventory.whole.hosts)
    return tuple(Target(*pair, fleets.of(*pair)) for pair in pairs)


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
    lost = {name: Surveyed(problems=tuple(str(e).splitlines())) for name, e in gathered.errors.items()}
    return Survey(
        with_twins(
            {
                name: with_site(target, gathered.results.get(name) or lost[name])
                for name, target in by_name.items()
            }
        )
    )


def with_twins(surveyed: Mapping[str, Surveyed]) -> Mapping[str, Surveyed]:
    """The same with what is wrong with hosts beside each other."""
    problems = twins({name: found.facts for name, found in surveyed.items() if found.facts})
    return {
        name: replace(found, problems=(*found.problems, str(problems[name]))) if name in problems else found
        for name, found in surveyed.items()
    }


def with_site(target: Target, surveyed: Surveyed) -> Surveyed:
    """The same with what is wrong with the site's own files for this host, whether it answers or not."""
    problems = site_problems(target.host, target.stored.lock.release, datetime.now(UTC))
    found = [line for line in problems if line not in surveyed.problems]
    return replace(surveyed, problems=(*found, *surveyed.problems))


def _ask(target: Target) -> Surveyed:
    host = target.host
    asked = f"{survey_script(host.settings)}\n{asking(QUESTIONS)}"
    return look(target, host.ssh.run(asked), datetime.now(UTC))


def survey_script(settings: SiteSettings) -> str:
    """What a host is asked before a change, but for `QUESTIONS` to its Docker. Changes nothing.

    + settings: the host's
    """
    return f"{probe_script(settings)}\n{listing_script(settings.root)}"


def glance_script(settings: SiteSettings) -> str:
    """What a host is asked for `glance`. Changes nothing.

    + settings: the host's
    """
    return f"{room_script(settings)}\n{listing_script(settings.root)}"


def glance(target: Target, said: str, likely: Wanted | None) -> tuple[HostRoom, Surveyed]:
    """What a host is to be and lacks, without what speaks against a change.

    + said: what room.sh printed, and the listing of its store
    + likely: as in `look`

    Raises SealiftError where the answer is not whole.
    """
    host, lock = target.host, target.stored.lock
    have = parse_listing(host.name, said.split("\n"))
    shipping = plan(target.order.blobs, have)
    room = parse_room(host.name, said)
    choice = choose(lock, host.groups, host.settings.ollama, room_of(room, host.settings, host.groups))
    wanted, problems = _wanted(target, choice.answers, likely)
    return room, Surveyed(None, shipping, wanted, problems, have)


def look(target: Target, said: str, now: datetime, likely: Wanted | None = None) -> Surveyed:
    """What a host's answer means for it.

    + said: what the probe printed, and the listing of its store
    + now: the control node's time, when the host was asked
    + likely: what it is to be if the models that come first have room, where that was rendered already

    Raises SealiftError where the answer is not whole.
    """
    host, lock = target.host, target.stored.lock
    problems = list(shell_problems(host.name, said))
    have = parse_listing(host.name, said.split("\n"))
    shipping = plan(target.order.blobs, have)
    facts = parse_probe(host.name, said)
    held = lock_problem(host.ssh, facts.rollout, owner(host.settings.depot))
    problems += [held] if held else []
    choice = choose(lock, host.groups, host.settings.ollama, room_of(facts, host.settings, host.groups))
    problems += map(
        str,
        check(host.name, facts, host.settings, lock, host.groups, choice.misfit, shipping.bytes_total, now),
    )
    wanted, unknown = _wanted(target, choice.answers, likely)
    return Surveyed(facts, shipping, wanted, (*problems, *unknown), have)


def _wanted(target: Target, answers: Answers, likely: Wanted | None) -> tuple[Wanted | None, tuple[str, ...]]:
    """What it is to be, or why that cannot be said."""
    if likely is not None and dict(likely.answers) == dict(answers):
        return likely, ()
    try:
        return _want(target, answers), ()
    except SealiftError as error:
        return None, tuple(f"{target.host.name}: {line}" for line in str(error).splitlines())


def wanted_of(found: tuple[Target, ...]) -> Mapping[str, Wanted]:
    """What each host is to be, by its name; no host is changed.

    A host that does not answer is taken to have room for the models that come first.

    Raises SealiftError where a host's secrets or certificates cannot be had.
    """
    by_name = {target.host.name: target for target in found}
    asked = on_all(
        [name for name, target in by_name.items() if _has_fallbacks(target)], lambda name: _ask(by_name[name])
    )
    return {
        name: (surveyed.wanted if (surveyed := asked.results.get(name)) else None) or first_choice(target)
        for name, target in by_name.items()
    }


def _has_fallbacks(target: Target) -> bool:
    return any(role.fallback for role in target.stored.lock.release.roles_for(target.host.groups).values())


def first_choice(target: Target) -> Wanted:
    """What a host is to be where the models that come first have room.

    Raises SealiftError where the site's secrets or certificates for it cannot be had.
    """
    return _want(target, first_choices(target.stored.lock.release.roles_for(target.host.groups)))


def _want(target: Target, answers: Answers) -> Wanted:
    host, stored = target.host, target.stored
    site_files = open_site_files(host, stored.lock.release)
    return want(
        host.name,
        host.groups,
        host.settings,
        stored.lock,
        stored.digest,
        answers,
        site_files,
        target.fleet,
    )
