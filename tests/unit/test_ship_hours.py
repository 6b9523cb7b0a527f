"""Shipping in some hours alone: what is stopped goes on in the next ones."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sealift.cli.main import application
from sealift.cli.ship_hours import in_hours
from sealift.errors import SealiftError
from sealift.rollout.window import Window

NIGHT = Window.parse("22:00-05:00")
# Runs until it is stopped, as sealift is by SIGTERM, and ends by itself the third time.
SHIPPING = """\
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
log = pathlib.Path(sys.argv[1])
begun = log.read_text().count("began") if log.exists() else 0
with log.open("a") as file:
    file.write("began\\n")
if begun == 2:
    sys.exit(int(sys.argv[2]))
try:
    time.sleep(20)
except SystemExit:
    with log.open("a") as file:
        file.write("interrupted\\n")
    raise
"""


class _Clock:
    """It runs 4 hours a second at night, and 60 by day."""

    def __init__(self, moment: datetime) -> None:
        self._moment, self._read = moment, time.monotonic()

    def __call__(self) -> datetime:
        read = time.monotonic()
        self._moment += timedelta(hours=4 if NIGHT.has(self._moment) else 60) * (read - self._read)
        self._read = read
        return self._moment


@pytest.fixture
def in_background() -> Iterator[None]:
    """A shell without job control has what it starts there ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("code", [0, 1])
def test_it_pauses_by_day_and_goes_on_by_night_until_it_ends_by_itself(
    tmp_path: Path, code: int, in_background: None
) -> None:
    log, told = tmp_path / "log", list[str]()
    command = [sys.executable, "-c", SHIPPING, str(log), str(code)]
    ended = in_hours(NIGHT, command, _Clock(datetime(2026, 11, 30, 20, 0)), step_s=0.02, tell=told.append)
    assert ended == code
    assert log.read_text().split() == [*("began", "interrupted") * 2, "began"]
    assert told == ["waits for 22:00", *("paused at 05:00", "waits for 22:00") * 2]


def test_what_ships_ends_with_the_process_that_keeps_the_hours(tmp_path: Path) -> None:
    code = f"""
from sealift.cli.ship_hours import in_hours
from sealift.rollout.window import Window
from datetime import datetime
in_hours(Window.parse("22:00-05:00"), {[sys.executable, "-c", SHIPPING, str(tmp_path / "log"), "0"]},
    lambda: datetime(2026, 11, 30, 23, 0))
"""
    keeper = subprocess.Popen([sys.executable, "-c", code])
    _until(lambda: (tmp_path / "log").exists())
    keeper.kill()
    keeper.wait()
    _until(lambda: "interrupted" in (tmp_path / "log").read_text())


def test_what_was_killed_has_the_exit_code_that_a_shell_gives_it() -> None:
    always = datetime(2026, 11, 30, 23, 0)
    assert in_hours(NIGHT, ["sh", "-c", "kill -9 $$"], lambda: always) == 137


def test_hours_that_are_over_while_they_are_looked_at_are_not_those_of_the_next_night() -> None:
    over = datetime(2026, 12, 1, 5, 0)
    moments = iter([over - timedelta(microseconds=1), over, over + timedelta(hours=18)])
    told = list[str]()
    assert in_hours(NIGHT, ["sleep", "0.2"], lambda: next(moments, over), 0.02, told.append) == 0
    assert told == ["paused at 05:00"]


def _until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("other", [("--dry-run",), ("--simulate", "5")])
def test_nothing_is_shipped_at_night_where_nothing_is_to_be_shipped(other: tuple[str, ...]) -> None:
    ran = CliRunner().invoke(application("ship"), ["ship", "site", "--hours", "22:00-05:00", *other])
    assert ran.exit_code == 2
    assert "goes with neither" in ran.output


def test_an_inventory_that_is_not_there_is_told_by_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sealift.cli.fleet.in_hours", lambda *_: pytest.fail("waits"))
    ran = CliRunner().invoke(application("ship"), ["ship", "nowhere", "--hours", "22:00-05:00"])
    assert isinstance(ran.exception, SealiftError)


@pytest.mark.parametrize(
    ("at", "closes"),
    [((30, 23, 0), (31, 5, 0)), ((30, 4, 59), (30, 5, 0)), ((30, 5, 0), (31, 5, 0))],
)
def test_a_window_closes(at: tuple[int, int, int], closes: tuple[int, int, int]) -> None:
    assert NIGHT.closes(datetime(2026, 12, *at)) == datetime(2026, 12, *closes)
