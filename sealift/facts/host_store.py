"""What a host's store has."""

from __future__ import annotations

import shlex

from pyinfra.api import FactBase

from sealift.host_paths import BLOBS, PARTIAL
from sealift.ship.plan import LISTING


class HostStore(FactBase[list[str]]):
    """The lines of a listing of the host store, for `sealift.ship.plan.parse_listing`."""

    default = list

    def command(self) -> str:
        """Run the listing that shipping itself goes by."""
        return shlex.join(["sh", "-c", f"{LISTING}\nlisting {BLOBS} {PARTIAL}"])

    def process(self, output: list[str]) -> list[str]:
        """Leave the lines as they are: parsing them needs the host's name."""
        return output
