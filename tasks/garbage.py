"""What a host keeps of former releases: as much as it needs to go back once."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from sealift.facts.text import Links
from sealift.host.wanted import Wanted
from sealift.host_paths import ROOT
from sealift.operations.apt import packages_removed
from sealift.operations.files import only_files
from sealift.operations.garbage import garbage_collected
from sealift.operations.generation import is_armed
from sealift.operations.models import only_models


@deploy("Garbage")
def collect_garbage(wanted: Wanted) -> None:
    """Remove what the release does not have, now that it runs, and what no generation needs.

    A host that is armed keeps all of it: `sealift.fleet.generations.confirm` has it removed there.
    """
    there: dict[str, str] = host.get_fact(Links, folder=ROOT)
    if is_armed(there):
        return
    only_models(
        name="Remove models that the release does not have here",
        tags=tuple(tag for named in wanted.names for tag in named.tags),
        blobs=tuple(blob for named in wanted.names for blob in named.variant.blobs),
    )
    only_files(
        name="Remove files that the release does not have",
        targets=tuple(file.target for file, _ in wanted.files.values()),
    )
    packages_removed(
        name="Remove packages that the release brings here no more",
        packages=tuple(package.name for package in wanted.packages),
    )
    garbage_collected(name="Remove what no generation needs")
