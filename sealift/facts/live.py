"""What running services say about the live files that they go by."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from sealift.facts.engine import EngineFact
from sealift.facts.foreign import foreign
from sealift.host import engine
from sealift.host.engine import answers, says
from sealift.service import Service
from sealift.services import ADMIN_PORT, VERSIONS

_VERSION = re.compile(r'([a-z_.]+): "([^"]*)"\s*')


class LiveVersions(EngineFact[dict[str, str]]):
    """Versions of the live files that a service goes by, by its names for them; empty where it is silent."""

    default = dict

    def asks(self, service: Service) -> tuple[str, ...]:
        """What the service says on loopback in its container."""
        return (says(service.project, ADMIN_PORT, VERSIONS),)

    def command(self, service: Service) -> str:
        """Ask all of it."""
        return engine.asking(self.asks(service))

    @foreign
    def process(self, output: list[str]) -> dict[str, str]:
        """Read `NAME: "VERSION"` lines; others are passed over."""
        lines = [line for said in answers(output).values() for line in said]
        return {found[1]: found[2] for line in lines if (found := _VERSION.fullmatch(line))}


def asking(service: Service, question: Sequence[str] = ()) -> str:
    """A line of sh(1) that prints what a service says; nothing where it does not run.

    + question: command and arguments in its container; those for its versions where empty
    """
    ask = shlex.join(question or (service.live.ask if service.live else [":"]))
    listing = f"docker ps --quiet --filter label=com.docker.compose.project={service.project}"
    return f"for id in $({listing} 2>/dev/null); do timeout 5 docker exec $id {ask} 2>/dev/null || :; done"
