"""The evidence as one page that needs nothing but a browser: no scripts, fonts or pictures from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import jinja2

from sealift.evidence.types import ClaimResult, Evidence

_TEMPLATES = Path(__file__).parents[2] / "templates"
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
    answers = [claim for claim in evidence.results if _ANSWER in claim.observed]
    areas = tuple(_areas(evidence))
    return rendered("evidence.html.j2", evidence=evidence, areas=areas, answers=answers)


def rendered(template: str, **values: object) -> bytes:
    """A page for people, in UTF-8.

    + template: file of templates/
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values).encode()


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
