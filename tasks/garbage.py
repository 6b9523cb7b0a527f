"""What a host keeps of former releases: as much as it needs to go back once."""

from __future__ import annotations

from pyinfra.api import deploy

from sealift.host.wanted import Wanted
from sealift.operations.apt import packages_removed
from sealift.operations.files import only_files
from sealift.operations.garbage import garbage_collected
from sealift.operations.models import only_models


@deploy("Garbage")
def collect_garbage(wanted: Wanted) -> None:
    """Remove what the release does not have, now that it runs, and what no generation needs.

    Names and links go: what they stood for stays in the host store as long as a generation to go back to
    needs it. On a host that is armed, `sealift.fleet.generations.confirm` has the rest removed.
    """
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
