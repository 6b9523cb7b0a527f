"""Runs that are kept, and one held against another."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sealift.measure.asking import Answered, Told
from sealift.measure.kept import compare, keep, last_before, read
from sealift.measure.loops import Arrived, load_of, step_of
from sealift.measure.results import Bench, Step

OLD, NEW = (f"sha256:{letter * 64}" for letter in "ab")


def _step(seconds: float, rate: int = 20, streams: int = 1) -> Step:
    told = Told(prompt_eval_count=20, eval_count=rate, eval_duration=10**9)
    return step_of("h1", "chat", "short", streams, [Answered(seconds, seconds / 4, told)] * 3, 3 * seconds)


def _bench(day: int, bundle: str, *steps: Step, **more: Any) -> Bench:
    return Bench(
        site="prod",
        release="demo:1",
        bundle=bundle,
        began=datetime(2026, 11, day, 12, tzinfo=UTC),
        client="first",
        rounds=3,
        predict=64,
        steps=steps,
        **more,
    )


def test_a_run_is_read_as_it_was_kept(tmp_path: Path) -> None:
    load = load_of("h1", "chat", 2.0, 10.0, [Arrived(0.5, 0.5, Answered(1.0, 0.1))], 1.5)
    run = _bench(1, OLD, _step(2.0), loads=(load,))
    path = keep(run, tmp_path / "bench")
    assert path.name == "prod-20261101T120000Z-aaaaaaaaaaaa.json"
    assert read(path) == run


def test_a_run_is_held_against_the_last_one_of_another_release(tmp_path: Path) -> None:
    for run in (_bench(1, OLD), _bench(2, OLD), _bench(3, NEW)):
        keep(run, tmp_path)
    before = last_before(_bench(4, NEW), tmp_path, _warned)
    assert before and (before.began.day, before.bundle) == (2, OLD)


def test_without_another_release_a_run_is_held_against_the_last_one(tmp_path: Path) -> None:
    assert last_before(_bench(4, NEW), tmp_path, _warned) is None
    keep(_bench(3, NEW), tmp_path)
    keep(_bench(5, NEW), tmp_path)
    before = last_before(_bench(4, NEW), tmp_path, _warned)
    assert before and before.began.day == 3


@pytest.mark.parametrize("site", ["prod-2", "prod-20261101T120000Z", "pro"])
def test_another_sites_run_is_not_even_read(tmp_path: Path, site: str) -> None:
    keep(_bench(1, OLD).model_copy(update={"site": site}), tmp_path).write_text("{}")
    assert last_before(_bench(4, NEW), tmp_path, _warned) is None


def test_of_each_site_the_last_twenty_runs_stay(tmp_path: Path) -> None:
    other = keep(_bench(1, OLD).model_copy(update={"site": "prod-2"}), tmp_path)
    (tmp_path / "prod-notes.json").write_text("an administrator's own")
    for day in range(1, 24):
        keep(_bench(day, OLD), tmp_path)
    (tmp_path / "prod-20261101T120000Z-aaaaaaaaaaaa.json").mkdir()
    keep(_bench(24, OLD), tmp_path)
    days = [read(path).began.day for path in sorted(tmp_path.glob("prod-2026*.json")) if path.is_file()]
    assert days == list(range(5, 25))
    assert other.exists() and (tmp_path / "prod-notes.json").exists()


def _warned(said: str) -> None:
    raise AssertionError(said)


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2}', "null"])
def test_what_is_no_run_is_named_and_left_out(tmp_path: Path, text: str) -> None:
    keep(_bench(1, OLD), tmp_path)
    keep(_bench(2, OLD), tmp_path).write_text(text)
    said: list[str] = []
    before = last_before(_bench(4, NEW), tmp_path, said.append)
    assert before and before.began.day == 1
    assert len(said) == 1 and "prod-20261102T120000Z-aaaaaaaaaaaa.json: is n" in said[0]


def test_only_what_was_measured_alike_is_compared() -> None:
    before, now = _bench(1, OLD, _step(2.0), _step(8.0, streams=4)), _bench(2, NEW, _step(3.0, rate=10))
    found = {each.what: each for each in compare(before, now)}
    assert list(found) == [
        "short prompt, 1 streams: first token",
        "short prompt, 1 streams: answer",
        "short prompt, 1 streams: one stream",
    ]
    answer, rate = found["short prompt, 1 streams: answer"], found["short prompt, 1 streams: one stream"]
    assert (answer.before, answer.now, answer.slower) == (2.0, 3.0, 1.5)
    assert (rate.before, rate.now, rate.slower) == (20.0, 10.0, 2.0)


def test_open_loops_of_one_rate_are_compared() -> None:
    loads = [
        load_of("h1", "chat", 2.0, 10.0, [Arrived(0.5, 0.5, Answered(seconds, 0.1))], 9)
        for seconds in (1.0, 4.0)
    ]
    found = list(compare(_bench(1, OLD, loads=loads[:1]), _bench(2, NEW, loads=loads[1:])))
    assert [(each.what, each.slower) for each in found] == [
        ("2 requests a second: first token", 1.0),
        ("2 requests a second: answer", 4.0),
    ]
