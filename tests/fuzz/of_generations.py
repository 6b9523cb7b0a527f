"""What hosts answer about their generations, and what they are by the record of one."""

from __future__ import annotations

from pathlib import Path

from sealift.fleet.generations import parse_stands
from sealift.fleet.recorded import compared
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target, alone, only
from tests.unit.test_recorded import GOOD

_STANDS = b"""\
current=0123456789ab
previous=0123456789ab
generation=0123456789ab 1795262400 yes {"release": "demo:1", "bundle": "sha256:0"}
armed=600
returned=2026-11-29T20:00:00Z 0123456789ab
end=
"""


def _stands(case: Case, _: Path) -> object:
    return parse_stands("FUZZ", only(case).decode(errors="replace"))


def _recorded(case: Case, _: Path) -> object:
    return compared("FUZZ", only(case).decode(errors="replace"))


TARGETS = (
    Target("generations", alone(_STANDS), _stands, (b"generation=", b"armed=", b"current=")),
    Target("record of a generation", alone(GOOD.encode()), _recorded, (b"record=", b"runs=", b"|")),
)
