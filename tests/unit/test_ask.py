"""What a gateway may answer: a real one over TLS on loopback, which is not to be believed."""

from __future__ import annotations

import http.server
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.fleet.ask import ask
from sealift.site.inventory import Host
from tests.unit.gateway_host import serving_as

GOOD = {
    "message": {"content": " Paris\x1b[2J\n"},
    "eval_count": 20,
    "eval_duration": 10**9,
    "total_duration": 3e9,
}


class _Gateway(http.server.BaseHTTPRequestHandler):
    answer = (200, json.dumps(GOOD))
    asked: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(self.path)
        status, body = self.answer
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(params=[("h1", "127.0.0.1"), ("gpu_1", "::1")], ids=["IPv4", "IPv6, underscore"])
def host(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Host]:
    _Gateway.asked = []
    name, address = request.param
    with serving_as(tmp_path, name, address, _Gateway) as found:
        yield found


def test_a_good_answer_is_read_without_what_moves_a_cursor(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Gateway, "answer", (200, json.dumps(GOOD)))
    answer = ask(host, "chat", "Where?")
    assert (answer.text, answer.tokens_per_second, answer.seconds) == ("Paris?[2J", 20, 3)


@pytest.mark.parametrize(
    "body",
    [
        *("", "[]", "{}", "[" * 100_000),
        json.dumps({**GOOD, "eval_duration": 0}),
        json.dumps({**GOOD, "eval_count": 10**400}),
        json.dumps({**GOOD, "eval_count": "x"}),
    ],
)
def test_an_answer_that_is_none_is_refused(host: Host, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setattr(_Gateway, "answer", (200, body))
    with pytest.raises(SealiftError, match=rf"^{host.name}: answers what Ollama would not"):
        ask(host, "chat", "Where?")


def test_a_gateway_sends_nobody_elsewhere(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Gateway, "answer", (302, "/elsewhere"))
    with pytest.raises(SealiftError, match="answers 302 Found"):
        ask(host, "chat", "Where?")
    assert _Gateway.asked == ["/api/chat"]
