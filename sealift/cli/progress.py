"""Progress on a terminal: rate and time left, for what takes longer than a moment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from sealift import progress

_MOMENT = 2.0  # seconds: what is done sooner needs no bar


class _Bars:
    """Shows each task from its second `_MOMENT` on; `what` names a task."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._started: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}

    def report(self, what: str, done: int, total: int) -> None:
        begun = self._started.setdefault(what, time.monotonic())
        if what not in self._tasks and (total == 0 or time.monotonic() - begun > _MOMENT):
            self._tasks[what] = self._bars.add_task(what, total=total or None)
        if what in self._tasks:
            self._bars.update(self._tasks[what], completed=done, total=total or None)


@contextmanager
def shown() -> Iterator[progress.Progress]:
    """A callback that draws bars on standard error while it is a terminal, and else does nothing."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield progress.silent
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bars(bars).report
