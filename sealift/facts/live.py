"""What running services say about the live files that they go by."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from sealift.facts.fact import FactBase
from sealift.facts.foreign import foreign
from sealift.service import Service

_VERSION = re.compile(r'([a-z_.]+): "([^"]*)"\s*')


class LiveVersions(FactBase[dict[str, str]]):
    """Versions of the live files that a service goes by, by its names for them; empty where it is silent."""

    default = dict

    def command(self, service: Service) -> str:
        """Ask the service in its container."""
        return asking(service)

    @foreign
    def process(self, output: list[str]) -> dict[str, str]:
        """Read `NAME: "VERSION"` lines; others are passed over."""
        return {found[1]: found[2] for line in output if (found := _VERSION.fullmatch(line))}


def asking(service: Service, question: Sequence[str] = ()) -> str:
    """A line of sh(1) that prints what a service says; nothing where it does not run.

    + question: command and arguments in its container; those for its versions where empty
    """
    ask = shlex.join(question or (service.live.ask if service.live else [":"]))
    listing = f"docker ps --quiet --filter label=com.docker.compose.project={service.project}"
    return f"for id in $({listing} 2>/dev/null); do timeout 5 docker exec $id {ask} 2>/dev/null || :; done"
