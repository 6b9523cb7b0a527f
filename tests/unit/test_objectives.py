"""What roles promise: how it is written, and how it is held against what was measured."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sealift.quality.objectives import Kept, held_against, request_of
from sealift.release.objectives import Objective, Objectives

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
    measured: dict[Objective, list[float]] = {
        "answer": [9.0, 1.0, 2.0],
        "tokens_per_second": [4.0, 4.5, 30.0],
    }
    found = held_against(promised, promised, measured)
    assert found == (Kept("answer", 3.0, 2.0, 3.0), Kept("tokens_per_second", 5.0, 4.5, 5.0))
    assert [each.kept for each in found] == [True, False]
    assert [each.verdict for each in found] == ["kept", "broken"]
    assert [each.told for each in found] == [
        "2.00 s, promised are at most 3.00 s",
        "4.5 tokens/s, promised are at least 5.0 tokens/s",
    ]


def test_a_site_that_promises_otherwise_is_told_beside_its_release() -> None:
    released = Objectives.model_validate(SEED)
    here = released.instead(Objectives.model_validate({"answer": "60s", "tokens_per_second": 0.5}))
    assert here.figures == {**released.figures, "answer": 60.0, "tokens_per_second": 0.5}
    (slow,) = held_against(here, released, {"answer": [42.0]})
    assert (slow.kept, slow.verdict) == (True, "kept here")
    assert slow.told == "42.00 s, promised here are at most 60.00 s, by the release 3.00 s"
    (quick,) = held_against(here, released, {"answer": [2.0]})
    assert quick.verdict == "kept"
    (broken,) = held_against(here, released, {"tokens_per_second": [0.4]})
    assert (broken.kept, broken.verdict) == (False, "broken")


def test_a_site_that_promises_more_than_its_release_is_held_to_it() -> None:
    released = Objectives.model_validate(SEED)
    strict = released.instead(Objectives.model_validate({"answer": "1s"}))
    assert [each.verdict for each in held_against(strict, released, {"answer": [2.0]})] == ["broken"]


def test_a_site_adds_nothing_to_what_its_release_promises() -> None:
    released = Objectives.model_validate({"answer": "3s"})
    assert released.instead(Objectives.model_validate({"first_token": "1s"})) == released
    assert released.instead(Objectives()) == released


def test_what_is_just_kept_is_kept() -> None:
    assert Kept("answer", 3.0, 3.0, 3.0).kept and not Kept("answer", 3.0, 3.01, 3.0).kept
    assert Kept("success", 0.95, 0.95, 0.95).kept and not Kept("success", 0.95, 0.949, 0.95).kept


def test_other_promises_are_told_in_their_units() -> None:
    assert Kept("memory", 2**30, 2**20, 2**30).told == "1 MiB, promised are at most 1024 MiB"
    assert Kept("first_token", 0.1, 0.05, 0.1).told == "50 ms, promised are at most 100 ms"
    assert Kept("success", 0.95, 0.999, 0.95).told == "99.9%, promised are at least 95.0%"


def test_every_role_is_measured_with_the_same_short_question() -> None:
    path, body = request_of("chat", embeds=False)
    assert (path, body["stream"]) == ("/api/chat", True)
    assert request_of("embed", embeds=True)[0] == "/api/embed"
