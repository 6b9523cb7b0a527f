"""What a rollout would do, before it does anything: what each host stands at and is to be, and the waves."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sealift.depot.store import Depot
from sealift.drift.status import HostStatus, ask_fleet
from sealift.errors import SealiftError, one_line
from sealift.evidence.code import code_digest
from sealift.files import canonical_json
from sealift.fleet.behind import has_service, stored_releases
from sealift.fleet.survey import Survey, Target, only_depot, targets
from sealift.host.behind import behind
from sealift.host.generation import Generation, id_of, live_path
from sealift.host.rollout_settings import RolloutSettings, hosts_of
from sealift.rollout.events import Before, Opened
from sealift.rollout.journal import Journal
from sealift.rollout.waves import DOOR, has_canary, require_canary, waves
from sealift.services import FRONT, HOSTS
from sealift.site.drained import read_drained
from sealift.site.inventory import Host, Inventory

# What shipping, or a moment, changes: no part of what a plan is made for.
_PASSING = re.compile(r"[0-9]+ blobs |role \S+ does not answer")


@dataclass(frozen=True)
class Terms:
    """On which terms a rollout begins.

    + window: in which waves may begin; empty is any time
    + overrides: digests of those without which it would have been refused
    """

    window: str = ""
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """A rollout that could begin.

    + site: its hosts, or those that it is limited to
    + changing: hosts that are not as they should be and can be made so
    + refused: hosts that cannot take their release, and why
    + allowed: hosts that may fail
    """

    site: Inventory
    depot: Depot
    targets: tuple[Target, ...]
    statuses: Mapping[str, HostStatus]
    survey: Survey
    waves: tuple[tuple[str, ...], ...]
    refused: Mapping[str, str]
    allowed: int
    canary: bool

    @property
    def settings(self) -> RolloutSettings:
        """How the rollout goes."""
        return self.site.hosts[0].settings.rollout

    @property
    def changing(self) -> tuple[str, ...]:
        """Hosts that the waves have, in their order."""
        return tuple(host for wave in self.waves for host in wave)

    @property
    def unchanged(self) -> tuple[str, ...]:
        """Hosts that are as they should be."""
        return tuple(h for h in self.site.names if h not in self.changing and h not in self.refused)

    @property
    def release(self) -> tuple[str, str]:
        """NAME:VERSION, and the digest of its bundle. Raises SealiftError where hosts have several."""
        found = sorted({(target.release, target.stored.digest) for target in self.targets})
        if len(found) > 1:
            raise SealiftError(
                f"{self.site.path}: its hosts have different releases "
                f"({', '.join(name for name, _ in found)}), expected one, for a rollout is of one bundle. "
                "Roll them out apart with --limit."
            )
        return found[0]

    @property
    def fingerprint(self) -> str:
        """A digest of all that a plan depends on: release, code, gates, hosts as they are and are to be."""
        return _digest(
            {
                "release": self.release,
                "code": code_digest(),
                "waves": self.waves,
                "hosts": self.digests,
                "settings": self.settings.model_dump(mode="json"),
            }
        )

    @property
    def digests(self) -> Mapping[str, str]:
        """By host, a digest of what it stands at and is to be."""
        return {name: _digest(self._stands(name)) for name in self.site.names}

    def _stands(self, host: str) -> object:
        status, wanted = self.statuses[host], self.survey.wanted.get(host)
        standing = status.standing
        return {
            "at": [standing.generation, standing.bundle] if standing else None,
            "to": [wanted.generation.id, wanted.bundle] if wanted else None,
            "differs": sorted(line for line in status.differs if not _PASSING.match(line)),
        }


def aimed_at(generation: Generation) -> str:
    """The id of a generation, but for which hosts are drained: a rollout drains them itself."""
    files = generation.files.items()
    return id_of({path: (file.mode, file.sha256) for path, file in files if path != live_path(FRONT, HOSTS)})


def _digest(value: object) -> str:
    return f"sha256:{hashlib.sha256(canonical_json(value)).hexdigest()}"


def prepare(site: Inventory, full: bool) -> Prepared:
    """Ask every host once, and reckon the waves. Changes nothing.

    + full: whether hosts that are as they should be are visited as well

    Raises SealiftError where a release is not in the depot, or the site's settings of rollouts differ.
    """
    if len({host.settings.rollout for host in site.hosts}) > 1:
        raise SealiftError(
            f"{site.path}: rollout: differs from host to host, expected the same for all. Set it in all.py."
        )
    total, settings = len(site.whole.hosts), site.hosts[0].settings.rollout
    require_canary(settings, site.whole.names)
    depot, found = only_depot(site), targets(site)
    known = ask_fleet(found, bare=True)
    statuses = {status.host: status for status in known.statuses}
    refused = {
        name: surveyed.problems[0].removeprefix(f"{name}: ")
        for name, surveyed in known.survey.hosts.items()
        if surveyed.problems
    }
    changing = [n for n, status in statuses.items() if n not in refused and (full or not status.ok)]
    planned = waves(changing, total, _answers(site, refused), settings)
    return Prepared(
        site=site,
        depot=depot,
        targets=found,
        statuses=statuses,
        survey=known.survey,
        waves=planned,
        refused=refused,
        allowed=hosts_of(settings.max_failures, total),
        canary=bool(planned) and has_canary(planned[0], settings),
    )


def opened(prepared: Prepared, journal: Journal, now: datetime, terms: Terms) -> Opened:
    """The first event of a rollout."""
    release, bundle = prepared.release
    return Opened(
        at=now,
        rollout=journal.id,
        inventory=prepared.site.name,
        release=release,
        bundle=bundle,
        code=code_digest(),
        who=who(),
        node=platform.node(),
        waves=prepared.waves,
        canary=prepared.canary,
        allowed=prepared.allowed,
        on_failure=prepared.settings.on_failure,
        unchanged=prepared.unchanged,
        failed=dict(prepared.refused),
        before={name: _before(status) for name, status in prepared.statuses.items()},
        window=terms.window,
        overrides=terms.overrides,
        plan=prepared.fingerprint,
        generations={host: aimed_at(wanted.generation) for host, wanted in prepared.survey.wanted.items()},
        bytes=sum(plan.bytes_total for plan in prepared.survey.plans.values()),
    )


def who() -> str:
    """Who this process works for."""
    return one_line(os.environ.get("SUDO_USER") or os.environ.get("USER") or f"user {os.getuid()}")


def _before(status: HostStatus) -> Before:
    standing = status.standing
    if standing is None:
        return Before()
    return Before(
        generation=standing.generation or "", release=standing.release or "", bundle=standing.bundle or ""
    )


def _answers(site: Inventory, refused: Iterable[str]) -> dict[str, frozenset[str]]:
    """By host of the whole site, which roles it answers, and whether it is a front door."""
    left = set(refused)
    hosts = [host for host in site.whole.hosts if host.name not in left]
    stored = stored_releases(hosts)

    def of(host: Host) -> Iterator[str]:
        release = stored[host.settings.depot, host.settings.release]
        if has_service(host, release, FRONT):
            yield DOOR
        drained = host.name in read_drained(host.settings)
        seen = behind(host.name, host.groups, host.settings, release.lock, address="", drained=drained)
        if seen and not drained:
            yield from seen.names

    return {host.name: frozenset(of(host)) for host in hosts}
