"""What the hosts of a chain say while it runs."""

from __future__ import annotations

from pathlib import Path

from sealift.depot.needed import needed_blobs
from sealift.ship.chain import link
from sealift.ship.chain_suspects import Suspects
from sealift.ship.chain_watch import Outcome, Watched
from sealift.ship.plan import parse_listing
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target, alone, only
from tests.unit import fleet_site


def _said(case: Case, _: Path) -> object:
    blobs = needed_blobs(fleet_site.lock(), frozenset())
    parts = link(
        ("FUZZ", "h2"), blobs, dict.fromkeys(("FUZZ", "h2"), parse_listing("FUZZ", ["free 1"])), {}, {}
    )
    watched, known = Watched(parts, 0.0), Suspects()
    for now, line in enumerate(only(case).decode(errors="replace").splitlines()):
        watched.say("FUZZ", line, float(now))
    fault = watched.fault(100.0)
    known.learn(Outcome({}, parts, fault, watched.bad))
    return fault, known.out, known.notes


_GOOD = (b"at 5\nwaiting 3\nbusy\nat 9\ndone\n", b"at 7\ncut out refused\nerror no room\n")
_WORDS = (b"at ", b"ok ", b"bad ", b"cut in", b"error ")
TARGETS = (Target("words of a host in a chain", alone(*_GOOD), _said, _WORDS),)
