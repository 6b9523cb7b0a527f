"""A property that is found out once, by whichever thread asks first."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any, Generic, TypeVar

_Found = TypeVar("_Found")


class once(Generic[_Found]):  # noqa: N801 - a decorator, as functools.cached_property is
    """Like `functools.cached_property`, but threads that ask for the same one wait for the first.

    That one has no lock since Python 3.12; before, it had one for all instances of a class.
    """

    def __init__(self, find: Callable[[Any], _Found]) -> None:
        """+ find: the method."""
        self._find = find
        self.__doc__ = find.__doc__

    def __get__(self, instance: object, owner: type) -> _Found:
        found = vars(instance)
        name = self._find.__name__
        with found.setdefault("_once", RLock()):  # in one step; the same thread may ask for another one in it
            if name not in found:
                found[name] = self._find(instance)  # where Python looks first from now on
        value: _Found = found[name]
        return value
