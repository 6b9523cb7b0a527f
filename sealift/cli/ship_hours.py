"""Shipping in some hours of the day alone: it is stopped when they end, and goes on when they come again."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import datetime

import typer

from sealift.rollout.window import Window

_STEP_S = 30  # a clock may be set meanwhile
# It ends with this process, even where that is killed. SIGINT is not for it: a shell without job control has
# what it starts in the background ignore that. Source: setpriv(1); POSIX, Shell Command Language, 2.11.
_STOPPED_WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def in_hours(
    window: Window,
    command: Sequence[str],
    now: Callable[[], datetime] = datetime.now,
    step_s: float = _STEP_S,
    tell: Callable[[str], None] = _tell,
) -> int:
    """Run a command that goes on where it was stopped, and stop it whenever the window closes.

    + command: its words; SIGTERM ends it in good order
    + now: local time
    + step_s: seconds after which the clock is looked at again
    + tell: takes a line for people

    Gives its exit code once it has ended by itself; of one that was killed, as a shell does.
    """
    while True:
        moment = now()
        if not window.has(moment):
            tell(f"waits for {window.begins:%H:%M}")
            while not window.has(moment := now()):
                time.sleep(step_s)
        code = _until(window.closes(moment), command, now, step_s)
        if code is not None:
            return code if code >= 0 else 128 - code
        tell(f"paused at {window.ends:%H:%M}")


def _until(close: datetime, command: Sequence[str], now: Callable[[], datetime], step_s: float) -> int | None:
    """Its exit code; None where it was stopped, for it is time."""
    with subprocess.Popen((*_STOPPED_WITH_US, *command)) as child:
        try:
            while now() < close:
                try:
                    return child.wait(step_s)
                except subprocess.TimeoutExpired:
                    continue
            child.send_signal(signal.SIGTERM)
            return 0 if child.wait() == 0 else None  # it had just come to its end
        finally:  # of this process too, whatever ends it
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
