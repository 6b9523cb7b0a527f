"""What preflight wants to know of a host."""

from __future__ import annotations

import shlex

from pyinfra.api import FactBase

from sealift.host.probe import PROBE


class Probe(FactBase[list[str]]):
    """The lines of preflight's own script, for `sealift.host.preflight.parse_probe`."""

    default = list

    def command(self) -> str:
        """Run the script, which changes nothing."""
        return shlex.join(["sh", "-c", PROBE])

    def process(self, output: list[str]) -> list[str]:
        """Leave the lines as they are: parsing them needs the host's name."""
        return output
