"""A release onto the hosts of an inventory, from preflight to pyinfra."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.fleet.blob_check import damaged_blobs
from sealift.fleet.host_lock import hosts_held, owner
from sealift.fleet.survey import Survey, Target, only_depot, survey, targets
from sealift.fleet.wave import Watch, WaveResult, apply_wave, one_rollout
from sealift.host.root import make_root
from sealift.progress import Progress
from sealift.ship.preview import Preview, preview
from sealift.ship.shipping import ship
from sealift.ship.types import Shipped
from sealift.site.inventory import Inventory
from sealift.ssh import on_all

ROLLOUT_LOG = "rollout.log"  # in the depot: what pyinfra said last


@dataclass(frozen=True)
class Ready:
    """Hosts that can take their releases.

    + depot: that all of them are served from
    + survey: what was found out about them
    """

    inventory: Inventory
    depot: Depot
    targets: tuple[Target, ...]
    survey: Survey


def preflight(inventory: Inventory) -> Ready:
    """Ask all hosts at once whether they can take their releases. Changes nothing.

    Raises SealiftError with everything that keeps any of them from it.
    """
    depot, found = only_depot(inventory), targets(inventory)
    surveyed = survey(found)
    if surveyed.problems:
        raise SealiftError("\n".join((*surveyed.problems, "Refused: nothing was changed on any host.")))
    return Ready(inventory, depot, found, surveyed)


@contextmanager
def _alone(ready: Ready) -> Iterator[None]:
    """Hold the depot's lock and those of the hosts, which lie in sealift's folder there."""
    hosts = [target.host.ssh for target in ready.targets]
    with one_rollout(ready.depot.path):
        link_roots(ready.targets)
        with hosts_held(hosts, owner(ready.depot.path)):
            yield


def link_roots(found: tuple[Target, ...]) -> None:
    """Have sealift's folder on each host's data folder, before anything is written there."""
    scripts = {
        target.host.name: (target.host.ssh, make_root(target.host.settings.data_folder))
        for target in found
        if target.host.settings.data_folder
    }

    def link(name: str) -> None:
        ssh, script = scripts[name]
        ssh.run(script)

    on_all(list(scripts), link).all()


def ship_to(ready: Ready, progress: Progress) -> Mapping[str, Shipped]:
    """Bring into each host's store what it lacks of its release. Deploys nothing.

    Raises SealiftError where another rollout is running, or a host did not get all of it.
    """
    with _alone(ready):
        return ship([target.order for target in ready.targets], ready.depot, progress).all()


def planned_to_ship(ready: Ready) -> Preview:
    """What `ship_to` would do, by what the hosts had when they were asked. Changes nothing."""
    haves = {name: found.have for name, found in ready.survey.hosts.items() if found.have}
    return preview([target.order for target in ready.targets], haves)


def mark_damaged(ready: Ready) -> Mapping[str, tuple[str, ...]]:
    """Hash all blobs of the hosts' stores, and have damaged ones shipped again by `apply`.

    Gives a line for each that a host's release needs, by host.

    Raises SealiftError where a host does not answer.
    """
    with _alone(ready):
        return damaged_blobs(ready.targets, mark=True)


def apply(
    ready: Ready,
    shipping: Callable[[], AbstractContextManager[Progress]],
    shipped: Callable[[Mapping[str, Shipped]], None],
    deploying: Callable[[], AbstractContextManager[Watch]],
) -> WaveResult:
    """Ship, then deploy with pyinfra.

    + shipping: gives who is told of bytes shipped, for as long as that lasts
    + shipped: told what was shipped, before anything is deployed
    + deploying: gives who is told of pyinfra's work, for as long as that lasts

    Raises SealiftError where another rollout is running, or a host fails.
    """
    with _alone(ready):
        with shipping() as progress:
            done = ship([target.order for target in ready.targets], ready.depot, progress).all()
        shipped(done)
        with deploying() as watch:
            return apply_wave(ready.inventory, ready.depot.path / ROLLOUT_LOG, watch)
