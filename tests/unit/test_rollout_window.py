"""Waves begin in their window, and what is under way is finished at any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from sealift.errors import SealiftError
from sealift.rollout import steps
from sealift.rollout.course import Step
from sealift.rollout.steps import Steps
from sealift.rollout.window import Window
from tests.unit.rollouts import opening

NIGHT, NOON = Window.parse("22:00-04:00"), Window.parse("12:00-12:30")


@pytest.mark.parametrize(
    ("window", "at", "opens"),
    [
        (NIGHT, "2026-11-29T21:59", "2026-11-29T22:00"),
        (NIGHT, "2026-11-29T22:00", "2026-11-29T22:00"),
        (NIGHT, "2026-11-30T03:59", "2026-11-30T03:59"),
        (NIGHT, "2026-11-30T04:00", "2026-11-30T22:00"),
        (NOON, "2026-11-29T12:29", "2026-11-29T12:29"),
        (NOON, "2026-11-29T12:30", "2026-11-30T12:00"),
        (NOON, "2026-12-31T23:00", "2027-01-01T12:00"),
    ],
)
def test_a_window_opens_each_day_past_midnight_or_not(window: Window, at: str, opens: str) -> None:
    assert window.opens(datetime.fromisoformat(at)) == datetime.fromisoformat(opens)


@pytest.mark.parametrize(
    "text", ["22-4", "24:00-04:00", "22:00-22:00", "22:00", "22:00-04:60", "", " 22:00-04:00"]
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(SealiftError, match="is no window, expected two times such as 22:00-04:00"):
        Window.parse(text)


class _Clock(datetime):
    at = datetime(2026, 11, 29, 20, 0)

    @classmethod
    def now(cls, _: object = None) -> datetime:  # type: ignore[override]
        return cls.at


@contextmanager
def _waiting(_: str) -> Iterator[Callable[[str], None]]:
    yield lambda _: None


@pytest.mark.parametrize(
    ("phase", "window", "began"),
    [("drain", "22:00-04:00", "22:00"), ("drain", "", "20:00"), ("apply", "22:00-04:00", "20:00")],
)
def test_a_wave_waits_for_its_window_and_no_other_step_does(
    phase: str, window: str, began: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(seconds: float) -> None:
        _Clock.at += timedelta(seconds=seconds)

    _Clock.at = datetime(2026, 11, 29, 20, 0)
    monkeypatch.setattr(steps, "datetime", _Clock)
    monkeypatch.setattr(time, "sleep", sleep)
    made = object.__new__(Steps)
    made._permit = lambda: None
    made._shown = SimpleNamespace(waiting=_waiting)  # type: ignore[assignment]
    made.wait(Step(phase, 0, ("h1",)), [opening(window=window)])  # type: ignore[arg-type]
    assert f"{_Clock.at:%H:%M}" == began
