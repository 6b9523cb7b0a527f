"""What a host's store has."""

from __future__ import annotations

import shlex

from pyinfra.api import FactBase

from sealift.facts.foreign import foreign
from sealift.host_paths import ROOT
from sealift.ship.plan import listing_script


class Root(FactBase[str]):
    """Where sealift's folder leads; empty where it is no link."""

    default = str

    def command(self) -> str:
        """The shell command."""
        return f"if [ -L {ROOT} ]; then readlink {ROOT}; fi"

    @foreign
    def process(self, output: list[str]) -> str:
        """Take the line."""
        return output[0]


class HostStore(FactBase[list[str]]):
    """The lines of a listing of the host store, for `sealift.ship.plan.parse_listing`."""

    default = list

    def command(self, root: str = ROOT) -> str:
        """Run the listing that shipping itself goes by.

        + root: where sealift's folder really lies
        """
        return shlex.join(["sh", "-c", listing_script(root)])

    def process(self, output: list[str]) -> list[str]:
        """Leave the lines as they are: parsing them needs the host's name."""
        return output
