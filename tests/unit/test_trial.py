"""What `try` asks of a host, and what it takes for an answer: of a gateway on loopback."""

from __future__ import annotations

import http.server
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pydantic import SecretStr

from sealift.errors import SealiftError
from sealift.fleet.trial import Asking, Trial, calls_of, is_answered, try_host
from sealift.host.client_limits import APIS
from sealift.site.inventory import Host
from sealift.site.secrets import parse_secrets
from tests.unit.gateway_host import KEY, serving_as

SHOWN = {"chat": ["completion", "tools"], "search": ["embedding"]}
GOOD = {
    "/api/generate": {"response": "Paris"},
    "/api/chat": {"message": {"content": "Paris"}},
    "/v1/chat/completions": {"choices": [{"message": {"content": "", "reasoning": "The user asks"}}]},
    "/api/embed": {"embeddings": [[0.0, 1.5]]},
    "/api/embeddings": {"embedding": [0.0]},
    "/v1/embeddings": {"data": [{"embedding": [0.5]}]},
}


class _Gateway(http.server.BaseHTTPRequestHandler):
    keys: tuple[str, ...]
    answers: dict[str, tuple[int, str]]
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        self._say(200, "{}")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((body["model"], self.path))
        good = {"capabilities": SHOWN[body["model"]]} if self.path == "/api/show" else GOOD[self.path]
        self._say(*self.answers.get(self.path, (200, json.dumps(good))))

    def _say(self, status: int, body: str) -> None:
        known = self.headers["Authorization"].removeprefix("Bearer ") in self.keys
        self.send_response(status if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    _Gateway.keys, _Gateway.answers, _Gateway.asked = (KEY,), {}, []
    with serving_as(tmp_path, "h1", "127.0.0.1", _Gateway) as found:
        yield found


def asking(*roles: str) -> Asking:
    return Asking(SecretStr(KEY), roles, APIS, SecretStr(KEY))


def tried(host: Host, *roles: str) -> list[Trial]:
    return list(try_host(host, asking(*roles), lambda _: None))


def problems(trials: list[Trial]) -> dict[tuple[str | None, str], str]:
    return {(trial.role, trial.call): trial.problem for trial in trials if trial.problem}


def test_every_role_is_asked_in_every_form_that_is_its_own(host: Host) -> None:
    trials = tried(host, "chat", "search")
    assert problems(trials) == {}
    assert [trial.call for trial in trials if trial.role is None] == ["right key", "wrong key"]
    in_words = ("/api/show", "/api/generate", "/api/chat", "/v1/chat/completions")
    in_numbers = ("/api/show", "/api/embed", "/api/embeddings", "/v1/embeddings")
    assert _Gateway.asked == [
        *(("chat", path) for path in in_words),
        *(("search", path) for path in in_numbers),
    ]
    assert all(0 <= trial.seconds < 10 for trial in trials)


def test_a_client_is_tried_in_the_forms_that_it_may_ask_in(host: Host) -> None:
    other = KEY[::-1]
    _Gateway.keys = (KEY, other)
    openai = Asking(SecretStr(KEY), ("chat", "search"), ("openai",), SecretStr(other))
    trials = list(try_host(host, openai, lambda _: None))
    assert [(trial.role, trial.call) for trial in trials[2:]] == [("chat", "POST /v1/chat/completions")]
    assert problems(trials) == {}


def test_what_is_told_meanwhile_names_host_role_and_call(host: Host) -> None:
    said: list[str] = []
    list(try_host(host, asking("chat"), said.append))
    assert said[:3] == ["h1: keys", "h1: chat", "h1: chat by /api/generate"]


def test_a_gateway_that_lets_everybody_in_is_told(host: Host) -> None:
    _Gateway.keys = (KEY, KEY[:-1] + "a")
    assert problems(tried(host)) == {
        (None, "wrong key"): "answers 200 '{}', expected 401. Run sealift status."
    }


def test_a_key_that_is_not_let_in_ends_it_and_is_not_told(host: Host) -> None:
    _Gateway.keys = ()
    trials = tried(host, "chat")
    assert problems(trials) == {(None, "right key"): "answers 401 '{}', expected 200. Run sealift status."}
    assert len(trials) == 1 and KEY not in repr(trials)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, "busy", "answers 503 'busy', expected 200. Run sealift status."),
        (429, '{"error": "too often"}', "answers 429 'too often', expected 200. Run sealift status."),
        (429, '{"error": {"message": "wait"}}', "answers 429 'wait', expected 200. Run sealift status."),
        (500, '{"error": {}}', """answers 500 '{"error": {}}', expected 200. Run sealift status."""),
        (200, "Paris", "answers 'Paris', expected JSON. Run sealift verify."),
        (200, "[" * 100_000, "expected JSON. Run sealift verify."),
        (200, '{"message": {"content": " "}}', "expected an answer of the model. Run sealift verify."),
    ],
)
def test_a_call_that_is_not_answered_keeps_no_other_from_being_tried(
    host: Host, status: int, body: str, said: str
) -> None:
    _Gateway.answers = {"/api/chat": (status, body)}
    found = problems(tried(host, "chat"))
    assert list(found) == [("chat", "POST /api/chat")]
    assert found["chat", "POST /api/chat"].endswith(said)
    assert ("chat", "/v1/chat/completions") in _Gateway.asked


def test_a_role_whose_model_is_not_there_is_asked_no_further(host: Host) -> None:
    _Gateway.answers = {"/api/show": (404, '{"error":"model not found"}')}
    assert list(problems(tried(host, "chat"))) == [("chat", "POST /api/show")]
    assert _Gateway.asked == [("chat", "/api/show")]


def test_a_host_that_does_not_answer_is_told_once(host: Host) -> None:
    closed = host.settings.gateway.model_copy(update={"port": 1})
    lost = Host("h1", frozenset(), host.settings.model_copy(update={"gateway": closed}))
    (trial,) = tried(lost, "chat")
    assert trial.problem is not None and trial.problem.startswith("https://127.0.0.1:1/api/version does not")


@pytest.mark.parametrize("shown", [None, [], {}, {"capabilities": "embedding"}, {"capabilities": ["vision"]}])
def test_a_model_that_says_nothing_of_embeddings_answers_in_words(shown: object) -> None:
    assert calls_of(shown)[0].path == "/api/generate"


@pytest.mark.parametrize(
    "said", [None, [], "Paris", {"response": ""}, {"response": None}, [{"response": "x"}]]
)
def test_what_is_no_answer_is_none(said: object) -> None:
    assert not is_answered(calls_of({})[0], said)


def test_a_clients_own_key_is_taken_and_a_client_without_one_is_refused() -> None:
    day = date(2026, 11, 29)
    opened = f"api_keys: {{demo: {KEY}x, gone: {{keys: [{KEY}y], expires: 2026-11-28}}}}"
    secrets = parse_secrets(opened.encode(), Path("secrets.age"))
    assert secrets.key_of("demo", day).get_secret_value() == f"{KEY}x"
    with pytest.raises(SealiftError, match="gone: no client with a key that holds on 2026-11-29") as refused:
        secrets.key_of("gone", day)
    assert KEY not in str(refused.value)
