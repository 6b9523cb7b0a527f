"""What was used, out of access logs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sealift.clients.usage import Usage, parse_log, parse_since, sum_up
from sealift.errors import SealiftError

ANSWER = {
    "time": "2026-11-29T08:00:00.000Z",
    "client": "chatbot",
    "role": "chat",
    "status": 200,
    "type": "application/json; charset=utf-8",
    "first_byte_ms": 900,
    "duration_ms": 1000,
    "tokens_in": 10,
    "tokens_out": 20,
    "load_ms": 0,
    "out_ms": 400,
    "path": "/api/chat",
}


def log(*changes: dict[str, Any]) -> str:
    return "\n".join(json.dumps({**ANSWER, **each}) for each in changes)


def test_tokens_requests_and_times_are_summed_by_client_role_and_host() -> None:
    stream = {"type": "application/x-ndjson", "first_byte_ms": 300, "duration_ms": 2000, "load_ms": 150}
    openai = {"load_ms": None, "out_ms": None, "tokens_out": 5}
    logs = {
        "h1": parse_log(log({}, stream)),
        "h2": parse_log(log(openai, {"client": "other", "role": "embed"})),
    }
    used = sum_up(logs, "client")
    assert list(used) == ["chatbot", "other"]
    assert used["chatbot"] == Usage(
        requests=3,
        refused=0,
        unknown=0,
        tokens_in=30,
        tokens_out=45,
        first_token_ms=300,
        answer_ms=1000,
        tokens_per_second=50.0,
        load_ms=150,
        source="logs",
    )
    assert {name: each.requests for name, each in sum_up(logs, "role").items()} == {"chat": 3, "embed": 1}
    assert {name: each.tokens_out for name, each in sum_up(logs, "host").items()} == {"h1": 40, "h2": 25}


def test_what_is_refused_or_does_not_say_its_tokens_is_counted_as_such() -> None:
    nothing: dict[str, Any] = {"tokens_in": None, "tokens_out": None, "load_ms": None, "out_ms": None}
    cut = {**nothing, "type": "text/event-stream"}
    refused = {**nothing, "role": None, "status": 429, "first_byte_ms": None}
    nobody = {**nothing, "client": None, "role": None, "status": 401}
    listed = {**nothing, "role": None}
    shown = {**nothing, "path": "/api/show"}
    used = sum_up({"h1": parse_log(log(cut, refused, nobody, listed, shown))}, "client")
    assert list(used) == ["chatbot"]
    found = used["chatbot"]
    assert (found.requests, found.refused, found.unknown, found.tokens_in) == (4, 1, 1, 0)
    assert found.tokens_per_second is None


def test_a_log_says_how_far_back_it_goes_and_foreign_lines_are_left_out() -> None:
    text = "\n".join(
        [
            "begins=" + log({"time": "2026-11-01T00:00:00.000Z"}),
            "[info] not ours",
            "[" * 5000,
            json.dumps({**ANSWER, "tokens_in": -1}),
            json.dumps({**ANSWER, "status": "200"}),
            log({}),
        ]
    )
    found = parse_log(text)
    assert found.begins == datetime(2026, 11, 1, tzinfo=UTC)
    assert len(found.entries) == 1
    assert parse_log("").begins is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("45m", timedelta(minutes=45)), ("12h", timedelta(hours=12)), ("30d", timedelta(days=30))],
)
def test_how_far_back_is_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert parse_since(text) == expected


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1w", "1d2h", "999999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SealiftError, match=r"--since: .*expected one such as 45m, 12h or 30d"):
        parse_since(text)
