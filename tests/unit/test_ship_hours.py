"""Shipping in some hours alone: what is stopped goes on in the next ones."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sealift.cli.ship_hours import in_hours
from sealift.rollout.window import Window

NIGHT = Window.parse("22:00-05:00")
# Runs until it is interrupted, and ends by itself the third time.
SHIPPING = """\
import pathlib, sys, time
log = pathlib.Path(sys.argv[1])
begun = log.read_text().count("began") if log.exists() else 0
with log.open("a") as file:
    file.write("began\\n")
if begun == 2:
    sys.exit(int(sys.argv[2]))
try:
    time.sleep(60)
except KeyboardInterrupt:
    with log.open("a") as file:
        file.write("interrupted\\n")
    sys.exit(130)
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


@pytest.mark.parametrize("code", [0, 1])
def test_it_pauses_by_day_and_goes_on_by_night_until_it_ends_by_itself(tmp_path: Path, code: int) -> None:
    log, told = tmp_path / "log", list[str]()
    command = [sys.executable, "-c", SHIPPING, str(log), str(code)]
    ended = in_hours(NIGHT, command, _Clock(datetime(2026, 11, 30, 20, 0)), step_s=0.02, tell=told.append)
    assert ended == code
    assert log.read_text().split() == [*("began", "interrupted") * 2, "began"]
    assert told == ["waits for 22:00", *("paused at 05:00", "waits for 22:00") * 2]


@pytest.mark.parametrize(
    ("at", "closes"),
    [((30, 23, 0), (31, 5, 0)), ((30, 4, 59), (30, 5, 0)), ((30, 5, 0), (31, 5, 0))],
)
def test_a_window_closes(at: tuple[int, int, int], closes: tuple[int, int, int]) -> None:
    assert NIGHT.closes(datetime(2026, 12, *at)) == datetime(2026, 12, *closes)
