"""A parser of foreign bytes, as the fuzzer sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutate import Case


@dataclass(frozen=True)
class Target:
    """What to read, and what good input of it is.

    + seeds: good input, which it reads without an error
    + read: reads a case; may write into the folder it is given, and use what it found as the product would
    + words: that mean something in its format
    + where: stands in every line of its messages: what is wrong belongs to some file, host or package
    + cost: of a case, compared with the parsing of a small JSON document
    """

    name: str
    seeds: tuple[Case, ...]
    read: Callable[[Case, Path], object]
    words: tuple[bytes, ...] = ()
    where: str = "FUZZ"
    cost: int = 1


def alone(*contents: bytes) -> tuple[Case, ...]:
    """Seeds of one part each."""
    return tuple((("", content),) for content in contents)


def only(case: Case) -> bytes:
    """The content of a case of one part."""
    return case[0][1] if case else b""
