"""What is known of hosts beside the rollout: what held of them before, and which alerts fire."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from sealift.errors import SealiftError
from sealift.evidence.record import lasting_folder, read_evidence
from sealift.evidence.types import Evidence
from sealift.fleet.survey import targets
from sealift.host.key_values import key_values
from sealift.host_paths import ROOT
from sealift.rollout.course import failures
from sealift.rollout.events import Before, Began, Ended, Event, Judged
from sealift.rollout.gate import Outcomes
from sealift.rollout.journal import journals
from sealift.services import MONITOR_GROUP, PROMETHEUS, PROMETHEUS_IMAGE
from sealift.site.inventory import Host, Inventory
from sealift.ssh import on_all
from sealift.watch.firing import Alert, firing

_MOST = 50  # evidence, and rollouts, looked through for the last evidence of each host
_PAUSE_S = 5  # before a Prometheus that is silent is asked once more
_HAS = '[ -d "$1" ] || echo none='


def held_before(site: Inventory, before: Mapping[str, Before]) -> dict[str, Outcomes]:
    """What the last evidence says of what stood on each host; hosts without such evidence are left out.

    Evidence of a generation that did not pass its gate does not count: else a bad release would pass when it
    is rolled out once more.

    + before: what stood on hosts
    """
    doubtful = in_doubt(site)
    found: dict[str, Outcomes] = {}
    for name, evidence in _last_evidence(site):
        for host in (host.name for host in evidence.hosts):
            stood = before.get(host, Before()).bundle
            if evidence.bundle == stood and (name, host) not in doubtful:
                found.setdefault(host, {result.key: result.outcome for result in evidence.of(host)})
        if set(site.names) <= found.keys():
            break
    return found


def in_doubt(site: Inventory) -> set[tuple[str, str]]:
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
    form = re.compile(rf"{re.escape(site.name)}-[0-9]{{8}}T[0-9]{{6}}Z-[0-9a-f]{{12}}")
    found = below.iterdir() if below.is_dir() else ()
    names = [path for path in found if form.fullmatch(path.name) and not path.is_symlink()]
    for folder in sorted(names, key=lambda path: path.name, reverse=True)[:_MOST]:
        with suppress(SealiftError):  # one that cannot be read says nothing
            yield folder.name, read_evidence(folder / "evidence.json")


def firing_now(site: Inventory, tries: int = 1) -> tuple[Alert, ...] | None:
    """The alerts of a site; None where nothing watches it yet.

    Raises SealiftError where what watches it is silent.
    """
    monitors = tuple(host for host in site.whole.hosts if MONITOR_GROUP in host.groups)
    watched = targets(replace(site, hosts=monitors)) if monitors else ()
    running = tuple(each.host for each in watched if PROMETHEUS_IMAGE in each.stored.lock.release.images)
    while running:
        try:
            return firing(running, int(time.time()))
        except SealiftError:
            tries -= 1
            if tries <= 0:
                if _bare(running):
                    return None
                raise
            time.sleep(_PAUSE_S)
    return None


def _bare(monitors: Sequence[Host]) -> bool:
    """Whether no generation in force on any of them has a Prometheus: it is yet to come."""
    by_name = {host.name: host.ssh for host in monitors}
    folder = f"{ROOT}/current/{PROMETHEUS.name}"
    found = on_all(list(by_name), lambda name: key_values(by_name[name].run(_HAS, folder)))
    return not found.errors and all("none" in each for each in found.results.values())
