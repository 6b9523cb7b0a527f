"""What a dashboard is made of: panels, which are questions to Prometheus and what their answers are called.

`$host`, `$role` and `$client` stand for regular expressions, as Grafana's variables do,
`$__rate_interval` for the time over which a rate is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sealift.services import GATEWAY

Unit = Literal["s", "requests/s", "tokens/s", "ratio", "bytes", "number", "days", "celsius", "watts"]
Variable = Literal["host", "role", "client"]

RATE = "$__rate_interval"
OF_GATEWAYS = f'job="{GATEWAY.name}"'  # of their series, a label
_LABEL = re.compile(r"\{\{(\w+)\}\}")
_VARIABLE = re.compile(r"\$(host|role|client)\b")


@dataclass(frozen=True)
class Line:
    """A question, and what each line of its answer is called.

    + legend: text with labels as `{{host}}`
    + expression: PromQL
    """

    legend: str
    expression: str

    def called(self, labels: Mapping[str, str]) -> str:
        """What a series of the answer is called."""
        return _LABEL.sub(lambda match: labels.get(match[1], "-"), self.legend)

    def over(self, rate_s: int) -> str:
        """The question about all hosts, roles and clients.

        + rate_s: seconds over which rates are taken
        """
        return _VARIABLE.sub(".*", self.expression.replace(RATE, f"{rate_s}s"))


@dataclass(frozen=True)
class Panel:
    """A picture.

    + id: unlike any other's
    + empty: why a healthy site may have nothing to show here
    """

    id: str
    title: str
    unit: Unit
    lines: tuple[Line, ...]
    empty: str = ""

    @property
    def questions(self) -> Iterator[tuple[str, Line]]:
        """Its lines, each by a name unlike any other's."""
        return ((f"{self.id}.{number}", line) for number, line in enumerate(self.lines))


@dataclass(frozen=True)
class Board:
    """Panels that are looked at together.

    + variables: that they can be narrowed by
    """

    name: str
    title: str
    variables: tuple[Variable, ...]
    panels: tuple[Panel, ...]
