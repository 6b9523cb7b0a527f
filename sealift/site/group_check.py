"""Groups of an inventory that nothing knows, because a name is mistyped."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from sealift.host.gpus import GPU
from sealift.release.types import Release
from sealift.service import ALL
from sealift.services import SERVICES
from sealift.site.inventory import Inventory
from sealift.site.tables import assigned_names

_EVERY_HOST = "llm"  # the list of all hosts that `sealift init` writes


def idle_files(inventory: Inventory) -> Iterator[str]:
    """Files of group data whose group the inventory does not have."""
    groups = {ALL, *assigned_names(inventory.path)}.union(*(host.groups for host in inventory.hosts))
    for path in sorted((inventory.path.parent / "group_data").glob("*.py")):
        if path.stem not in groups:
            yield (
                f"{path}: {inventory.path.name} has no group {path.stem}, so this file holds for no host. "
                f"{_nearest(path.stem, groups) or 'Add the group, or remove the file.'}"
            )


def idle_groups(inventory: Inventory, releases: Collection[Release]) -> Iterator[str]:
    """Groups of hosts that get nothing by them, and are nearly called as one that is known.

    Others are for --limit.

    + releases: all that the inventory's hosts are to run
    """
    files = {path.stem for path in (inventory.path.parent / "group_data").glob("*.py")}
    known = {ALL, GPU, _EVERY_HOST, *files}.union(
        *(service.groups for service in SERVICES), *map(_groups, releases)
    )
    groups = frozenset[str]().union(*(host.groups for host in inventory.hosts))
    for group in sorted(groups - known - {inventory.path.stem}):
        if hint := _nearest(group, known):
            yield (
                f"{inventory.path}: no release, service or file of group_data knows the group {group}, so "
                f"its hosts get nothing by it. {hint}"
            )


def _groups(release: Release) -> frozenset[str]:
    listed = [
        *(image.groups for image in release.images.values()),
        *(model.groups for model in release.models.values()),
        *(role.groups for role in release.roles.values()),
        *((file.group,) for file in release.files.values()),
    ]
    return frozenset(release.packages.of_groups).union(*listed)


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"Did you mean {near[0]}?" if near else ""
