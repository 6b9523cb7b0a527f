"""What a host answers is foreign: an answer that cannot be read fails that host, not the run."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from sealift.facts.fact import FactBase, unreadable

F = TypeVar("F", bound=FactBase[Any])
T = TypeVar("T")


def foreign(process: Callable[[F, list[str]], T]) -> Callable[[F, list[str]], T]:
    """Decorates a fact's `process`: pyinfra ends with a traceback on all but FactProcessError."""

    @wraps(process)
    def read(fact: F, output: list[str]) -> T:
        try:
            return process(fact, output)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            raise unreadable()(f"this is no answer to it: {error!r}") from None

    return read
