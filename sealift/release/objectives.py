"""What a role promises: how fast it answers, what it takes, and how often it may fail."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from sealift.release.values import Frozen, is_none

Objective = Literal["first_token", "answer", "tokens_per_second", "memory", "success"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
# Of these at least so much is promised, of the others at most.
AT_LEAST = frozenset({"tokens_per_second", "success"})
# What a model says nothing of that answers in numbers.
OF_WORDS = frozenset({"first_token", "tokens_per_second"})

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_BYTES = {"MB": 10**6, "GB": 10**9, "MiB": 1 << 20, "GiB": 1 << 30}
_UNIT = re.compile(r"(?P<number>[0-9.]+)(?P<unit>[A-Za-z%]+)", re.ASCII)

_NUMBER = r"(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?"
_Time = Annotated[str, StringConstraints(pattern=rf"^{_NUMBER}(ms|s|m)$")]
_Memory = Annotated[str, StringConstraints(pattern=rf"^{_NUMBER}(MB|GB|MiB|GiB)$")]
_Percent = Annotated[str, StringConstraints(pattern=r"^(100|[0-9]{1,2}(\.[0-9]{1,3})?)%$")]


class Objectives(Frozen):
    """What a role promises on each host, asked one thing at a time while its model is loaded."""

    first_token: _Time | None = Field(
        default=None, exclude_if=is_none, description="until the first word, such as 2s or 500ms"
    )
    answer: _Time | None = Field(
        default=None, exclude_if=is_none, description="until the end of a short answer, such as 3s"
    )
    tokens_per_second: Annotated[float, Field(strict=True, gt=0, le=100_000)] | None = Field(
        default=None, exclude_if=is_none, description="of an answer, at least"
    )
    memory: _Memory | None = Field(
        default=None, exclude_if=is_none, description="that its loaded model takes, such as 16GiB"
    )
    success: _Percent | None = Field(
        default=None,
        exclude_if=is_none,
        description="of the answers to the probe within an hour, at least, such as 95%",
    )

    @property
    def figures(self) -> Mapping[Objective, float]:
        """What is promised: seconds, tokens a second, bytes, and of success a ratio up to 1."""
        given = ((name, getattr(self, name)) for name in OBJECTIVES)
        return {name: _figure(value) for name, value in given if value is not None}

    def instead(self, others: Objectives) -> Objectives:
        """The same promises, with the figures of others where those have them too."""
        return self.model_copy(update={name: getattr(others, name) for name in self.both(others)})

    def both(self, others: Objectives) -> tuple[Objective, ...]:
        """What is promised here and by others."""
        return tuple(name for name in OBJECTIVES if self._has(name) and others._has(name))

    def _has(self, name: Objective) -> bool:
        return getattr(self, name) is not None


def _figure(value: str | float) -> float:
    if isinstance(value, int | float):
        return float(value)
    found = _UNIT.fullmatch(value)
    if found is None:  # for the type checker: the patterns above have both
        raise AssertionError(value)
    number, unit = float(found["number"]), found["unit"]
    return number / 100 if unit == "%" else number * {**_SECONDS, **_BYTES}[unit]
