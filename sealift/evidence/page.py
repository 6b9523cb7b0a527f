"""The evidence as one page that needs nothing but a browser: no scripts, fonts or pictures from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import jinja2

from sealift.evidence.types import ClaimResult, Evidence

_TEMPLATE = Path(__file__).parents[2] / "templates" / "evidence.html.j2"
_ANSWER = "answer"  # the observation that is shown in full: what a model said


class Row(NamedTuple):
    """A claim and its outcome on each host, in the order of the hosts; None where it is not made."""

    sentence: str
    name: str
    results: tuple[ClaimResult | None, ...]


class Area(NamedTuple):
    """The claims of one file of tests/hosts."""

    title: str
    rows: tuple[Row, ...]


def render(evidence: Evidence) -> bytes:
    """Render the page, in UTF-8."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_TEMPLATE.read_text())
    answers = [claim for claim in evidence.results if _ANSWER in claim.observed]
    return template.render(evidence=evidence, areas=tuple(_areas(evidence)), answers=answers).encode()


def _areas(evidence: Evidence) -> Iterator[Area]:
    results = {(claim.host, *claim.key): claim for claim in evidence.results}
    claims = {claim.key: claim for claim in evidence.results}
    for area, keys in groupby(sorted(claims, key=lambda key: key[0]), key=lambda key: key[0]):
        rows = (
            Row(
                sentence=claims[key].claim,
                name=key[1],
                results=tuple(results.get((host.name, *key)) for host in evidence.hosts),
            )
            for key in keys
        )
        yield Area(area.replace("_", " "), tuple(rows))
