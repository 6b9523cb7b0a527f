"""What a gateway may answer while it is measured: over TLS on loopback, and not to be believed."""

from __future__ import annotations

import http.server
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from sealift.errors import SealiftError
from sealift.measure import asking
from sealift.measure.asking import Line, Question, Told, read_answer
from sealift.site.inventory import Host
from tests.unit.gateway_host import KEY, serving_as

DONE = {
    "done": True,
    "prompt_eval_count": 21,
    "eval_count": 64,
    "eval_duration": 3_200_000_000,
    "load_duration": 70_000_000,
}
PIECES = [
    {"message": {"content": ""}, "done": False},
    {"message": {"content": "Hi"}, "done": False},
    {"message": {"content": ""}, **DONE},
]
WORDS, NUMBERS = Question("chat", False, "Count.", 64), Question("embed", True, "Count.", 64)


class _Gateway(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, Any]]
    connections: set[Any]
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, json.loads(body)))
        self.connections.add(self.client_address)
        assert self.headers["Authorization"] == f"Bearer {KEY}"
        self.send_response(self.status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        pieces = PIECES if self.status == 200 else [{"error": "client: has asked too often."}]
        for piece in pieces:
            line = json.dumps(piece).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    _Gateway.asked, _Gateway.connections, _Gateway.status = [], set(), 200
    with serving_as(tmp_path, "h1", "127.0.0.1", _Gateway) as found:
        yield found


def test_an_answer_is_measured_and_its_own_numbers_are_read(host: Host) -> None:
    line = Line(host, SecretStr(KEY), 1)
    answered = [line.ask(WORDS), line.ask(WORDS)]
    line.close()
    for each in answered:
        assert each.problem == ""
        assert each.told and each.told.tokens_per_second == 20.0
        assert each.first_s is not None and 0 < each.first_s <= each.answer_s
    assert len(_Gateway.connections) == 1  # the second has no handshake of TLS in it
    ((path, body), _) = _Gateway.asked
    assert path == "/api/chat"
    assert body["options"] == {"temperature": 0, "seed": 1, "num_predict": 64, "stop": []}


def test_a_refusal_is_counted_and_not_raised(host: Host) -> None:
    _Gateway.status = 429
    answered = Line(host, SecretStr(KEY), 1).ask(WORDS)
    assert (answered.status, answered.problem) == (429, "client: has asked too often.")
    assert answered.told is None


def test_what_does_not_answer_is_counted_too(host: Host) -> None:
    gone = Line(host, SecretStr(KEY), 1)
    gone._address = "https://127.0.0.1:1"
    answered = gone.ask(WORDS)
    assert answered.status == 0
    assert "does not answer" in answered.problem


def _read(question: Question, *chunks: bytes) -> asking.Answered:
    return read_answer("h1", question, iter(chunks), 0.0)


def test_a_line_may_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)
    text = b"".join(json.dumps(piece).encode() + b"\n" for piece in PIECES)
    answered = _read(WORDS, *(text[at : at + 7] for at in range(0, len(text), 7)))
    assert answered.told == Told.model_validate(DONE)
    assert answered.first_s == 1.0


def test_an_embedding_counts_as_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)
    said = {"embeddings": [[0.1]], "prompt_eval_count": 8, "load_duration": 1}
    answered = _read(NUMBERS, json.dumps(said).encode())
    assert (answered.first_s, answered.answer_s) == (None, 1.0)
    assert answered.told and (answered.told.prompt_eval_count, answered.told.tokens_per_second) == (8, None)


@pytest.mark.parametrize(
    ("question", "body"),
    [
        (WORDS, b""),
        (WORDS, b"null"),
        (WORDS, b"<html>"),
        (WORDS, b"\xff\xfe"),
        (WORDS, b"[" * 100_000),
        (WORDS, b'{"message":{"content":"Hi"},"done":false}\n'),
        (WORDS, b'{"error":"model \\u001b[2J runner died"}'),
        (WORDS, b'{"message":{},"done":true,"eval_count":-1}'),
        (WORDS, b'{"message":{},"done":true,"eval_count":"64"}'),
        (WORDS, b'{"message":{},"done":true,"eval_count":1e99}'),
        (NUMBERS, b'{"embeddings":[]}'),
        (NUMBERS, b"{}"),
    ],
)
def test_what_ollama_would_not_say_is_a_problem_in_one_line(
    monkeypatch: pytest.MonkeyPatch, question: Question, body: bytes
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)
    with pytest.raises(SealiftError) as refused:
        _read(question, body)
    assert str(refused.value).isprintable()


def test_an_answer_without_end_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)
    monkeypatch.setattr(asking, "_LINE", 1000)
    with pytest.raises(SealiftError, match="expected fewer"):
        read_answer("h1", WORDS, iter(lambda: b"x" * 100, b""), 0.0)


def test_an_answer_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(0, 100_000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    with pytest.raises(SealiftError, match="took more than 300 s"):
        read_answer("h1", WORDS, iter(lambda: b"\n", b""), 0.0)
