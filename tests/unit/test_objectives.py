"""What roles promise: how it is written, and how it is held against what was measured."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sealift.quality.objectives import Kept, held_against, request_of
from sealift.release.objectives import Objectives

SEED = {
    "first_token": "2s",
    "answer": "3s",
    "tokens_per_second": 5.0,
    "memory": "16GB",
    "success": "95%",
}


def test_figures_are_seconds_bytes_and_ratios() -> None:
    assert Objectives.model_validate(SEED).figures == {
        "first_token": 2.0,
        "answer": 3.0,
        "tokens_per_second": 5.0,
        "memory": 16e9,
        "success": 0.95,
    }
    assert Objectives.model_validate({"answer": "500ms", "memory": "1.5GiB"}).figures == {
        "answer": 0.5,
        "memory": 1.5 * 2**30,
    }
    assert Objectives().figures == {}


@pytest.mark.parametrize(
    "given",
    [
        *({"answer": text} for text in ("3", "3 s", "-1s", "3h", "1e3s", "", "1s\n", "9999999s")),
        *({"memory": text} for text in ("16G", "16", "GiB")),
        *({"success": text} for text in ("101%", "0.95", "95", "100.5%")),
        *({"tokens_per_second": value} for value in (0, -1, "5", True, float("nan"))),
        {"latency": "3s"},
    ],
)
def test_what_is_no_promise_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Objectives.model_validate(given)


def test_the_median_of_what_was_measured_counts() -> None:
    promised = Objectives.model_validate(SEED)
    found = held_against(promised, {"answer": [9.0, 1.0, 2.0], "tokens_per_second": [4.0, 4.5, 30.0]})
    assert found == (Kept("answer", 3.0, 2.0), Kept("tokens_per_second", 5.0, 4.5))
    assert [each.kept for each in found] == [True, False]
    assert [each.told for each in found] == [
        "2.00 s, promised are at most 3.00 s",
        "4.5 tokens/s, promised are at least 5.0 tokens/s",
    ]


def test_what_is_just_kept_is_kept() -> None:
    assert Kept("answer", 3.0, 3.0).kept and not Kept("answer", 3.0, 3.01).kept
    assert Kept("success", 0.95, 0.95).kept and not Kept("success", 0.95, 0.949).kept


def test_other_promises_are_told_in_their_units() -> None:
    assert Kept("memory", 2**30, 2**20).told == "1 MiB, promised are at most 1024 MiB"
    assert Kept("first_token", 0.1, 0.05).told == "50 ms, promised are at most 100 ms"
    assert Kept("success", 0.95, 0.999).told == "99.9%, promised are at least 95.0%"


def test_every_role_is_measured_with_the_same_short_question() -> None:
    path, body = request_of("chat", embeds=False)
    assert (path, body["stream"]) == ("/api/chat", True)
    assert request_of("embed", embeds=True)[0] == "/api/embed"
