"""What preflight wants to know of a host."""

from __future__ import annotations

import shlex

from sealift.facts.fact import FactBase
from sealift.host.probe import probe
from sealift.host.settings import SiteSettings


class Probe(FactBase[list[str]]):
    """The lines of preflight's own script, for `sealift.host.preflight.parse_probe`."""

    default = list

    def command(self, settings: SiteSettings) -> str:
        """Run the script, which changes nothing.

        + settings: the host's
        """
        return shlex.join(["sh", "-c", probe(settings)])

    def process(self, output: list[str]) -> list[str]:
        """Leave the lines as they are: parsing them needs the host's name."""
        return output
