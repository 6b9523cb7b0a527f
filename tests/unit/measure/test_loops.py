"""Closed loops wait for their answers, open loops do not, and what is not answered is counted."""

from __future__ import annotations

import threading

import pytest

from sealift.measure import loops
from sealift.measure.asking import Answered, Told
from sealift.measure.loops import Arrived, closed, load_of, opened, refusals, step_of

WELL = Answered(3.0, 0.5, Told(prompt_eval_count=20, eval_count=64, eval_duration=2 * 10**9))
BUSY = Answered(0.01, status=429, problem="client: has asked too often. Request 1-2-3.")


def _tell(done: int, total: int) -> None:
    """Nobody."""


def test_streams_ask_at_once_and_each_again_once_it_is_answered() -> None:
    together = threading.Barrier(3)

    def ask() -> Answered:
        together.wait(timeout=10)  # goes on only where three ask at once
        return WELL

    told: list[tuple[int, int]] = []
    found, seconds = closed(ask, 3, 4, lambda done, total: told.append((done, total)))
    assert found == [WELL] * 12
    assert seconds > 0
    assert told == [(number, 12) for number in range(1, 13)]


def test_an_open_loop_sends_whatever_the_answers_do() -> None:
    sent, opening = threading.Semaphore(0), threading.Event()

    def ask() -> Answered:
        sent.release()
        opening.wait(10)
        return WELL

    def open_once_all_are_sent() -> None:
        for _ in range(5):
            assert sent.acquire(timeout=10)
        opening.set()

    opener = threading.Thread(target=open_once_all_are_sent)
    opener.start()
    found, ended = opened(ask, [0.0, 0.01, 0.02, 0.03, 0.04], _tell)
    opener.join()
    assert sorted(each.due_s for each in found) == [0.0, 0.01, 0.02, 0.03, 0.04]
    assert all(each.sent_s >= each.due_s and each.answered is WELL for each in found)
    assert ended >= 0.04


def test_no_more_wait_than_there_are_threads_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "MOST_AT_ONCE", 3)
    opening = threading.Event()

    def ask() -> Answered:
        opening.wait(10)
        return WELL

    def tell(done: int, total: int) -> None:
        if (done, total) == (2, 5):  # those that were not sent
            opening.set()

    found, _ = opened(ask, [0.0] * 5, tell)
    assert refusals(each.answered for each in found) == {"not sent: 3 requests waited already": 2}


def test_what_an_open_loop_takes_counts_from_when_it_was_due() -> None:
    found = [Arrived(1.0, 1.5, WELL), Arrived(0.5, 0.5, BUSY)]
    load = load_of("h1", "chat", 2.0, 10.0, found, 4.5)
    assert [(each.due_s, each.first_s, each.answer_s) for each in load.moments] == [
        (0.5, None, None),
        (1.0, 1.0, 3.5),
    ]
    assert (load.asked, load.answered) == (2, 1)
    assert load.answer_s and load.answer_s.median == 3.5


def test_a_step_is_of_what_was_answered() -> None:
    step = step_of("h1", "chat", "short", 2, [WELL, WELL, BUSY], 6.0)
    assert (step.asked, step.answered) == (3, 2)
    assert step.refused == {"429: client: has asked too often.": 1}
    assert step.rate and step.rate.median == 32.0
    assert step.together == 128 / 6
    assert step.first_s and step.first_s.count == 2


def test_a_step_without_an_answer_has_no_times() -> None:
    step = step_of("h1", "chat", "short", 1, [BUSY], 0.1)
    assert (step.first_s, step.rate, step.together, step.answered) == (None, None, None, 0)


def test_refusals_differ_by_what_they_say_and_not_by_which_request_they_name() -> None:
    other = Answered(0.01, status=429, problem="client: has asked too often. Request 4-5-6.")
    assert refusals([BUSY, other, WELL]) == {"429: client: has asked too often.": 2}
