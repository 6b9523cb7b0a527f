"""What the depot no longer needs, as far as its hosts are concerned."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from sealift.depot.collecting import Garbage, collect
from sealift.depot.store import Depot
from sealift.fleet.status import bundles_in_use, fleet_standing
from sealift.fleet.survey import targets
from sealift.fleet.wave import one_rollout
from sealift.progress import Progress
from sealift.site.inventory import Inventory


def collect_unused(
    depot: Depot,
    keep: int,
    named: Sequence[str],
    inventories: Sequence[Inventory],
    apply: bool,
    progress: Progress,
) -> Garbage:
    """Find what a depot and its hosts no longer need, and remove it from the depot.

    + keep: how many releases of each name stay: those of the highest versions
    + named: releases that stay whatever their version
    + inventories: whose hosts are asked: what they run stays, and so does what they are to run
    + apply: False to remove nothing

    Raises SealiftError where it is unknown what a host runs, or another rollout is running.
    """
    depot.require()
    with one_rollout(depot.path) if apply else nullcontext():
        in_use: set[str] = set()
        for inventory in inventories:
            progress(f"asking the hosts of {inventory.name}", 0, 0)
            found = targets(inventory)
            in_use.update(target.stored.digest for target in found)
            in_use |= bundles_in_use(fleet_standing(found))
        return collect(depot, keep, named, frozenset(in_use), apply, progress)
