"""The page of a run: whole in itself, and what hosts and gateways say stays text."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sealift.measure.asking import Answered, Told
from sealift.measure.kept import compare
from sealift.measure.loops import Arrived, load_of, step_of
from sealift.measure.page import render
from sealift.measure.results import Bench, Bound, Cold
from sealift.measure.statistics import spread_of

EVIL = "<script>alert(1)</script>"
WELL = Answered(3.2, 0.5, Told(prompt_eval_count=21, eval_count=64, eval_duration=3_200_000_000))
IN_NUMBERS = Answered(0.02, None, Told(prompt_eval_count=21))
REFUSED = Answered(0.01, status=429, problem=EVIL)


def bench(day: int = 1, letter: str = "a") -> Bench:
    """A run of two roles."""
    some = spread_of([1.0, 1.25])
    assert some
    return Bench(
        site="prod",
        release=f"demo:{day}",
        bundle=f"sha256:{letter * 64}",
        began=datetime(2026, 11, day, 12, tzinfo=UTC),
        client="first",
        rounds=2,
        predict=64,
        steps=(
            step_of("h1", "chat", "short", 1, [WELL, WELL], 6.4),
            step_of("h1", "chat", "short", 2, [WELL, WELL, WELL, REFUSED], 9.6),
            step_of("h1", "chat", "long", 1, [WELL, WELL], 6.4),
            step_of("h1", "embed", "short", 1, [IN_NUMBERS] * 2, 0.04),
            step_of("h1", "embed", "short", 2, [REFUSED] * 4, 0.04),
        ),
        colds=(Cold(host="h1", role="chat", load_s=some, first_s=some),),
        loads=(load_of("h1", "chat", 2.0, 10.0, [Arrived(1.0, 1.0, WELL), Arrived(2.0, 2.0, REFUSED)], 4.5),),
        bounds=(
            Bound(
                host="h1",
                role="chat",
                bytes_per_token=250_000_000,
                bandwidth=25e9,
                measured=some,
                of="2 CPUs",
                tokens_per_second=100.0,
                reached=0.2,
            ),
        ),
    )


def test_the_page_shows_every_step_and_plots_them() -> None:
    before, now = bench(), bench(2, "b")
    text = render(now, list(compare(before, now)), before).decode()
    assert text.count("<h2>") == 2
    assert text.count("<tr><td>short") + text.count("<tr><td>long") >= 5
    assert text.count("<svg") == 4  # times and tokens by streams, the open loop, times of embed
    assert "One stream reaches 20 % of the 100 tokens" in text
    assert "demo:1, measured 01 November 2026" in text
    assert "<td>1.00</td>" in text  # nothing has become slower


def test_what_a_gateway_says_stays_text() -> None:
    text = render(bench(), (), None).decode()
    assert EVIL not in text
    assert "429: &lt;script&gt;" in text


def test_the_page_asks_nobody() -> None:
    text = render(bench(), (), None).decode()
    assert not re.search(r"(src|href|url\(|@import|<link|<script)", text)


def test_a_run_that_was_interrupted_at_once_has_a_page_too() -> None:
    empty = bench().model_copy(update={"steps": (), "loads": (), "colds": (), "bounds": ()})
    assert "demo:1" in render(empty, (), None).decode()
