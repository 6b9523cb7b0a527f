"""Everything that the tool prints for people: foreign text stays the text that it is.

rich reads `[bold]` as markup and `:x:` as an emoji where it is not told otherwise, and what hosts, files and
servers say is full of brackets and colons. So consoles are made here and nowhere else.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sealift.errors import one_line, printable

_WIDEST = 10_000  # columns: for rich, which cuts what is wider


class _Lasting(Console):
    """Where nobody reads any more, says nothing and goes on; rich's own ends the program."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), self.file.fileno())


def console(*, errors: bool = False, lasting: bool = False) -> Console:
    """A console for tables and bars.

    + errors: on standard error
    + lasting: what is under way goes on where nobody reads any more, as under `| head`
    """
    if lasting:
        return _Lasting(stderr=errors, markup=False, emoji=False, highlight=False)
    return Console(stderr=errors, markup=False, emoji=False, highlight=False)


def read_for(seconds: float) -> bool:
    """Wait so long; less, and False, where nobody reads standard output any more, as under `| head`.

    Nothing is written for it: poll(2) has an error on the writing end of a pipe whose reading end is closed.
    """
    try:
        out = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # it is closed, or no file: nobody can go away from it
        time.sleep(seconds)
        return True
    poll = select.poll()
    poll.register(out, 0)  # errors are always told
    gone = select.POLLERR | select.POLLHUP
    return not any(told & gone for _, told in poll.poll(seconds * 1000))


def show(table: Table, at_least: int = 0) -> None:
    """Print a table on standard output. Elsewhere than on a terminal nothing of it is cut or broken.

    Where nobody reads any more, nothing is printed: the exit code still says what was found.

    + at_least: columns that it takes, however narrow the terminal is
    """
    shown = console(lasting=True)
    if not shown.is_terminal:
        wide = shown.options.update(max_width=_WIDEST)
        at_least = max(at_least, shown.measure(table, options=wide).maximum)
    shown.width = max(shown.width, at_least)
    shown.print(table)


def say(text: str, style: str | None = None) -> None:
    """Print lines on standard output. A terminal wraps them, so that they can be copied whole."""
    console(lasting=True).print(printable(text), style=style, soft_wrap=True)


def complain(text: str) -> None:
    """Print lines on standard error, in red on a terminal."""
    console(errors=True).print(printable(text), style="red", soft_wrap=True)


@dataclass(frozen=True)
class Work:
    """What is being worked on, as it is shown.

    + now: takes what is being done now
    + tell: takes a line that stays
    """

    now: Callable[[str], None]
    tell: Callable[[str], None]


@contextmanager
def working(on: str) -> Iterator[Work]:
    """Show on standard error what is being worked on, while it is a terminal. What is told stays there."""
    errors = console(errors=True)
    with errors.status(Text(one_line(on))) as shown:
        yield Work(
            now=lambda now: shown.update(Text(one_line(now))),
            tell=lambda line: errors.print(one_line(line), soft_wrap=True),
        )
