"""What preflight wants to know of a host."""

from __future__ import annotations

import shlex

from pyinfra.api import FactBase

from sealift.fleet.preflight import PROBE, HostFacts, parse_probe


class Probe(FactBase[HostFacts]):
    """A host as preflight sees it, asked by one command that changes nothing."""

    def command(self) -> str:
        """Run preflight's own script."""
        return shlex.join(["sh", "-c", PROBE])

    def process(self, output: list[str]) -> HostFacts:
        """Parse what it printed."""
        return parse_probe("\n".join(output))
