"""What a host has to know of the others of its site."""

from __future__ import annotations

from dataclasses import dataclass

from sealift.host.behind import Behind
from sealift.host.watched import Watched


@dataclass(frozen=True)
class Fleet:
    """The hosts of a site, as one of them sees them.

    + behind: those that a front door there is before
    + watched: those whose figures a Prometheus there reads
    """

    behind: tuple[Behind, ...] = ()
    watched: tuple[Watched, ...] = ()


ALONE = Fleet()
