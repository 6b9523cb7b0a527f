"""What is known of hosts beside the rollout: what held of them before, and which alerts fire."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from sealift.errors import SealiftError
from sealift.evidence.record import lasting_folder, read_evidence
from sealift.evidence.types import Evidence
from sealift.fleet.survey import targets
from sealift.rollout.gate import Outcomes
from sealift.services import MONITOR_GROUP
from sealift.site.inventory import Inventory
from sealift.watch.firing import Alert, firing

_MOST = 50  # evidence looked through for the last one of each host
_IMAGE = "prometheus"


def held_before(site: Inventory) -> dict[str, Outcomes]:
    """What the last evidence of each host says; those that were never verified have none."""
    found: dict[str, Outcomes] = {}
    for evidence in _last_evidence(site):
        for host in evidence.hosts:
            found.setdefault(host.name, {result.key: result.outcome for result in evidence.of(host.name)})
        if set(site.names) <= found.keys():
            break
    return found


def _last_evidence(site: Inventory) -> Iterator[Evidence]:
    below = lasting_folder(site)
    names = [path for path in below.glob(f"{site.name}-*") if not path.is_symlink()] if below.is_dir() else []
    for folder in sorted(names, key=lambda path: path.name, reverse=True)[:_MOST]:
        with suppress(SealiftError):  # one that cannot be read says nothing
            yield read_evidence(folder / "evidence.json")


def firing_now(site: Inventory) -> tuple[Alert, ...] | None:
    """The alerts of a site; None where nothing watches it, or that is silent."""
    monitors = tuple(host for host in site.whole.hosts if MONITOR_GROUP in host.groups)
    try:
        watched = targets(replace(site, hosts=monitors)) if monitors else ()
        running = tuple(each.host for each in watched if _IMAGE in each.stored.lock.release.images)
        return firing(running, int(time.time())) if running else None
    except SealiftError:
        return None
