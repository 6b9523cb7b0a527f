"""Progress of what takes longer than a moment: bars on a terminal, elsewhere a line per task."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.filesize import decimal
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
from sealift.cli.console import console
from sealift.errors import one_line
from sealift.progress import ASKING

_MOMENT = 2.0  # seconds: what is done sooner needs no word


class _Watch:
    """Which tasks are worth a word; `what` names a task."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}

    def is_due(self, what: str, total: int) -> bool:
        """Whether a task takes longer than a moment, or is one of waiting for somebody."""
        begun = self._started.setdefault(what, time.monotonic())
        return total == 0 or time.monotonic() - begun > _MOMENT


class _Bars:
    """A bar for each task that is due. They are gone while somebody is asked."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._watch = _Watch()
        self._tasks: dict[str, TaskID] = {}

    def report(self, what: str, done: int, total: int) -> None:
        if what == ASKING:
            self._bars.stop()
            while self._tasks:
                self._bars.remove_task(self._tasks.popitem()[1])
            return
        if what not in self._tasks and self._watch.is_due(what, total):
            self._bars.start()
            self._tasks[what] = self._bars.add_task(one_line(what), total=total or None)
        if what in self._tasks:
            self._bars.update(self._tasks[what], completed=done, total=total or None)


class _Lines:
    """A line for each task that is due."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._watch = _Watch()
        self._said = {ASKING}

    def report(self, what: str, done: int, total: int) -> None:  # noqa: ARG002 - as the bars have it
        if what not in self._said and self._watch.is_due(what, total):
            self._said.add(what)
            self._console.print(one_line(f"{what}, {decimal(total)}" if total else what), soft_wrap=True)


def _by_one_thread_at_a_time(report: progress.Progress) -> progress.Progress:
    guard = threading.Lock()

    def guarded(what: str, done: int, total: int) -> None:
        with guard:
            report(what, done, total)

    return guarded


@contextmanager
def shown() -> Iterator[progress.Progress]:
    """A callback that tells standard error: by bars while it is a terminal, else by lines."""
    errors = console(errors=True)
    if not errors.is_terminal:
        yield _by_one_thread_at_a_time(_Lines(errors).report)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as bars:
        yield _by_one_thread_at_a_time(_Bars(bars).report)
