"""A fact of a host, and what it must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sealift.facts.fact import FactBase


@dataclass(frozen=True)
class Check:
    """A fact to ask for, and what is told where it is not as it must be.

    + judge: takes the fact; gives a line per difference
    """

    fact: type[FactBase[Any]]
    judge: Callable[[Any], Iterator[str]]
    arguments: Mapping[str, Any] = field(default_factory=dict)
