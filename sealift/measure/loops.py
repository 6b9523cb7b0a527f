"""Many requests: by streams that wait for their answers, or at times that no answer delays."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sealift.measure.asking import Answered
from sealift.measure.results import Load, Moment, Refusals, Step
from sealift.measure.statistics import spread_of
from sealift.threads import at_once

Ask = Callable[[], Answered]
Tell = Callable[[int, int], None]
"""Takes how many requests are answered, of how many."""

MOST_AT_ONCE = 512  # requests of an open loop that wait; each has a thread here
_REFUSAL = 200  # characters, by which refusals are told apart


def closed(ask: Ask, streams: int, rounds: int, tell: Tell) -> tuple[list[Answered], float]:
    """Ask by some streams at once, each so many times, one after another; give all, and the seconds."""
    guard = threading.Lock()
    done: list[Answered] = []

    def stream(_: int) -> None:
        for _round in range(rounds):
            answered = ask()
            with guard:
                done.append(answered)
                tell(len(done), streams * rounds)

    began = time.monotonic()
    at_once(stream, range(streams), streams)
    return done, time.monotonic() - began


@dataclass(frozen=True)
class Arrived:
    """A request of an open loop: when it was due, and what came of it; both by the seconds since the begin.

    + sent_s: when it was sent, a little later than due
    """

    due_s: float
    sent_s: float
    answered: Answered


def opened(ask: Ask, times: Sequence[float], tell: Tell) -> tuple[list[Arrived], float]:
    """Ask at these times whatever becomes of the requests before; give all, and the seconds until the last.

    Where too many wait for each to have a thread, a request counts as not sent.

    + times: seconds, in their order
    """
    ended: queue.SimpleQueue[Arrived] = queue.SimpleQueue()
    found: list[Arrived] = []
    begin = time.monotonic()

    def send(due: float) -> None:
        sent = time.monotonic() - begin
        ended.put(Arrived(due, sent, ask()))

    def gather(until: float | None) -> None:
        """Take what has ended, until a time or until there is one."""
        left = None if until is None else max(0.0, until - (time.monotonic() - begin))
        try:
            found.append(ended.get(timeout=left))
        except queue.Empty:
            return
        tell(len(found), len(times))

    for number, due in enumerate(times):
        while time.monotonic() - begin < due:
            gather(due)
        while not ended.empty():
            gather(due)
        if number - len(found) < MOST_AT_ONCE:
            threading.Thread(target=send, args=(due,), daemon=True).start()
        else:
            problem = f"not sent: {MOST_AT_ONCE} requests waited already"
            ended.put(Arrived(due, due, Answered(0.0, status=0, problem=problem)))
    while len(found) < len(times):
        gather(None)
    return found, time.monotonic() - begin


def step_of(
    host: str, role: str, prompt: str, streams: int, found: Iterable[Answered], seconds: float
) -> Step:
    """What a closed loop came to."""
    all_of_them = list(found)
    good = [each for each in all_of_them if not each.problem]
    told = [each.told for each in good if each.told]
    return Step.model_validate(
        {
            "host": host,
            "role": role,
            "prompt": prompt,
            "streams": streams,
            "asked": len(all_of_them),
            "refused": refusals(all_of_them),
            "first_s": spread_of(each.first_s for each in good if each.first_s is not None),
            "answer_s": spread_of(each.answer_s for each in good),
            "prompt_tokens": spread_of(each.prompt_eval_count for each in told if each.prompt_eval_count),
            "tokens": spread_of(each.eval_count for each in told if each.eval_count),
            "rate": spread_of(each.tokens_per_second for each in told if each.tokens_per_second),
            "produced": sum(each.eval_count for each in told),
            "seconds": seconds,
        }
    )


def load_of(
    host: str, role: str, rate: float, seconds: float, found: Iterable[Arrived], ended: float
) -> Load:
    """What an open loop came to: each time counts from when the request was due."""
    moments = [_moment(each) for each in sorted(found, key=lambda each: each.due_s)]
    return Load(
        host=host,
        role=role,
        asked=len(moments),
        refused=refusals(each.answered for each in found),
        first_s=spread_of(each.first_s for each in moments if each.first_s is not None),
        answer_s=spread_of(each.answer_s for each in moments if each.answer_s is not None),
        rate=rate,
        seconds=seconds,
        ended_s=ended,
        moments=tuple(moments),
    )


def _moment(each: Arrived) -> Moment:
    late, answered = each.sent_s - each.due_s, each.answered
    return Moment(
        due_s=each.due_s,
        first_s=None if answered.first_s is None else late + answered.first_s,
        answer_s=None if answered.problem else late + answered.answer_s,
    )


def refusals(found: Iterable[Answered]) -> Refusals:
    """How many were not answered, by status and message; without what differs from one to the next."""
    said = Counter(_reason(each) for each in found if each.problem)
    return dict(said.most_common())


def _reason(each: Answered) -> str:
    """Our gateway's messages end with the number of the request."""
    text = each.problem.partition(" Request ")[0][:_REFUSAL]
    return f"{each.status}: {text}" if each.status else text
