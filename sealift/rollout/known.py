"""What is known of hosts beside the rollout: what held of them before, and which alerts fire."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from sealift.errors import SealiftError
from sealift.evidence.record import lasting_folder, read_evidence
from sealift.evidence.types import Evidence
from sealift.fleet.survey import targets
from sealift.rollout.course import failures
from sealift.rollout.events import Before, Began, Ended, Event, Judged
from sealift.rollout.gate import Outcomes
from sealift.rollout.journal import journals
from sealift.services import MONITOR_GROUP
from sealift.site.inventory import Inventory
from sealift.watch.firing import Alert, firing

_MOST = 50  # evidence, and rollouts, looked through for the last evidence of each host
_IMAGE = "prometheus"


def held_before(site: Inventory, before: Mapping[str, Before]) -> dict[str, Outcomes]:
    """What the last evidence says of what stood on each host; hosts without such evidence are left out.

    Evidence of a generation that did not pass its gate does not count: else a bad release would pass when it
    is rolled out once more.

    + before: what stood on hosts
    """
    doubtful = _doubtful(site)
    found: dict[str, Outcomes] = {}
    for name, evidence in _last_evidence(site):
        for host in (host.name for host in evidence.hosts):
            stood = before.get(host, Before()).bundle
            if evidence.bundle == stood and (name, host) not in doubtful:
                found.setdefault(host, {result.key: result.outcome for result in evidence.of(host)})
        if set(site.names) <= found.keys():
            break
    return found


def _doubtful(site: Inventory) -> set[tuple[str, str]]:
    """Evidence of rollouts, and hosts that did not pass with it."""
    return {pair for journal in islice(journals(site), _MOST) for pair in doubtful(journal.events)}


def doubtful(events: Sequence[Event]) -> Iterator[tuple[str, str]]:
    """Evidence of a rollout, and hosts that did not pass with it, or have not yet."""
    failed = failures(events)
    passed = {event.wave for event in events if isinstance(event, Judged) and event.passed}
    hosts = {(e.wave, e.phase): e.hosts for e in events if isinstance(e, Began)}
    for event in events:
        if isinstance(event, Ended) and event.evidence:
            verified = hosts.get((event.wave, event.phase), ())
            yield from ((event.evidence, h) for h in verified if event.wave not in passed or h in failed)


def _last_evidence(site: Inventory) -> Iterator[tuple[str, Evidence]]:
    """The name of its folder, and the evidence, the last one first."""
    below = lasting_folder(site)
    names = [path for path in below.glob(f"{site.name}-*") if not path.is_symlink()] if below.is_dir() else []
    for folder in sorted(names, key=lambda path: path.name, reverse=True)[:_MOST]:
        with suppress(SealiftError):  # one that cannot be read says nothing
            yield folder.name, read_evidence(folder / "evidence.json")


def firing_now(site: Inventory) -> tuple[Alert, ...] | None:
    """The alerts of a site; None where nothing watches it, or that is silent."""
    monitors = tuple(host for host in site.whole.hosts if MONITOR_GROUP in host.groups)
    try:
        watched = targets(replace(site, hosts=monitors)) if monitors else ()
        running = tuple(each.host for each in watched if _IMAGE in each.stored.lock.release.images)
        return firing(running, int(time.time())) if running else None
    except SealiftError:
        return None
