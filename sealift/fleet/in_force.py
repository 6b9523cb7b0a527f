"""Hosts by the releases that they run, whatever the inventory names: while it names a newer one, they differ.

Front doors are told of hosts by these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from sealift.depot.activation import reading
from sealift.errors import SealiftError
from sealift.fleet.generations import Kept, Stands
from sealift.site.inventory import Host, Inventory


def in_force(site: Inventory, stands: Mapping[str, Stands]) -> Inventory:
    """All hosts of a site by the releases that they run; one that did not say it, as the inventory names it.

    + stands: of those that said it
    """
    whole = site.whole
    found = by_generations(whole.hosts, {name: each.current for name, each in stands.items()})
    return replace(whole, hosts=found, site=())


def by_generations(hosts: Iterable[Host], generations: Mapping[str, Kept | None]) -> tuple[Host, ...]:
    """Hosts by the releases of generations; one stays as it was where it has none, or the depot lacks it.

    + generations: by host
    """

    @cache  # many hosts have the same, and reading a lock takes time
    def in_depot(path: Path, release: str) -> bool:
        try:
            reading(path).resolve(release)
        except SealiftError:
            return False
        return True

    def of(host: Host) -> Host:
        kept = generations.get(host.name)
        if kept is None:
            return host
        release = f"{kept.release.partition(':')[0]}@{kept.bundle}"
        if not in_depot(host.settings.depot, release):
            return host
        return replace(host, settings=host.settings.model_copy(update={"release": release}))

    return tuple(map(of, hosts))
