"""How long steps tell whoever watches how far they are, without knowing about terminals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

Progress = Callable[[str, int, int], None]
"""Called with what is being done, bytes done and bytes in all; none, while somebody else is waited for."""

ASKING = "asking"
"""Reported before somebody may be asked something at the terminal: nothing may be drawn over the question."""


def silent(what: str, done: int, total: int) -> None:
    """Report to nobody."""


class StoppedError(Exception):
    """What counts bytes on a meter is to end, because something else went wrong or the user wants it."""


class Meter:
    """Adds up what several threads do on one task, and reports it from one at a time."""

    def __init__(self, what: str, total: int, report: Progress) -> None:
        """Start at nothing done.

        + what: the task, for people
        + total: bytes in all
        + report: who is told
        """
        self._what, self._total, self._report = what, total, report
        self._done = 0
        self._stopped = False
        self._guard = threading.Lock()

    def stop(self) -> None:
        """Let every `add` from now on raise StoppedError."""
        self._stopped = True

    def add(self, count: int) -> None:
        """Another `count` bytes are done."""
        if self._stopped:
            raise StoppedError
        with self._guard:
            self._done += count
            self._report(self._what, self._done, self._total)

    def expect(self, count: int) -> None:
        """Another `count` bytes turned out to be due."""
        with self._guard:
            self._total += count
            self._report(self._what, self._done, self._total)

    def noted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks, each counted when it has been used."""
        for chunk in chunks:
            yield chunk
            self.add(len(chunk))
