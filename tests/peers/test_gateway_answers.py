"""The gateway by the real Envoy: which calls pass, and what it says itself where none does."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sealift.host.routes import ROUTES, routes_of
from tests.peers import gateway
from tests.peers.gateway import NEWEST, Gateway, lock_of, message_of
from tests.unit.fleet_site import lock

BODY = {"model": "chat"}
NATIVE, OPENAI, ANTHROPIC = "/api/chat", "/v1/chat/completions", "/v1/messages"


@pytest.fixture(scope="module")
def running(envoy_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    settings: dict[str, Any] = {"requests_per_minute": 60, "max_request_mib": 1, "idle_timeout_s": 2}
    with gateway.serving(envoy_program, folder, lock_of(NEWEST), **settings) as found:
        yield found


@pytest.fixture(scope="module")
def without_ollama(envoy_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway.serving(
        envoy_program, tmp_path_factory.mktemp("alone"), lock(), ollama=False, hold_s=0
    ) as found:
        yield found


@pytest.mark.parametrize("path", [NATIVE, OPENAI, ANTHROPIC])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer alice-kez"}], ids=["no", "wrong"])
def test_a_key_is_asked_for(running: Gateway, path: str, headers: dict[str, str]) -> None:
    answer = running.ask("POST", path, None, json={}, headers=headers)
    assert answer.status_code == 401
    assert "Authorization: Bearer KEY" in message_of(answer, path)
    assert "alice-kez" not in answer.text


@pytest.mark.parametrize("path", ["/api/pull", "/v1/files?purpose=x", "/v1/messages/count_tokens"])
def test_a_call_that_is_not_open_is_named(running: Gateway, path: str) -> None:
    answer = running.ask("POST", path, json={})
    assert answer.status_code == 404
    assert message_of(answer, path).startswith(f"POST {path.partition('?')[0]}: no such call here. ")


def test_a_path_stays_text_in_an_answer(running: Gateway) -> None:
    answer = running.ask("GET", "/v1/%22,%22x%25REQ(x-api-key)%25<b>\\")
    assert answer.status_code in (400, 404)
    assert set(json.loads(answer.text)) == {"error"}


@pytest.mark.parametrize("path", [NATIVE, OPENAI, ANTHROPIC])
def test_a_request_that_is_too_large_learns_what_is_not(running: Gateway, path: str) -> None:
    answer = running.ask("POST", path, "bob", json={"prompt": "x" * (1 << 20)})
    assert answer.status_code == 413
    assert "expected 1 MiB at most" in message_of(answer, path)


@pytest.mark.parametrize("path", [NATIVE, OPENAI, ANTHROPIC])
def test_an_answer_that_does_not_come_is_told(running: Gateway, path: str) -> None:
    answer = running.ask("POST", path, "bob", json=BODY, headers={"x-wait": "3"})
    assert answer.status_code == 504, answer.text
    assert "has said nothing for 2 s" in message_of(answer, path)


def test_a_client_beyond_its_limit_learns_when_to_ask_again(running: Gateway) -> None:
    answers = [running.ask("GET", path, "carol") for path in ("/api/tags", "/v1/models") * 40]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert {answer.headers.get("retry-after") for answer in answers if answer not in refused} == {None}
    assert "asked too often" in message_of(refused[0], urlsplit(refused[0].url).path)
    assert {len(answer.json()["error"]) for answer in refused if "/v1/" in answer.url} == {4}
    time.sleep(int(refused[0].headers["retry-after"]))
    assert running.ask("GET", "/api/tags", "carol").status_code == 200


@pytest.mark.parametrize("path", [NATIVE, OPENAI])
def test_where_ollama_does_not_answer_a_client_learns_when_to_ask_again(
    without_ollama: Gateway, path: str
) -> None:
    answer = without_ollama.ask("POST", path, json=BODY)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert message_of(answer, path).startswith("Ollama: does not answer now. ")


def test_what_cannot_be_read_is_answered_in_json(running: Gateway) -> None:
    context = ssl.create_default_context(cafile=str(running.certificate))
    plain = socket.create_connection(("127.0.0.1", running.port), 5)
    with context.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(b"NONSENSE\r\n\r\n")
        head, _, body = b"".join(iter(lambda: connection.recv(4096), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"error": "request: cannot be read (http1.codec_error)."}


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_ollamas_own_errors_stay_as_they_are(running: Gateway, status: int) -> None:
    answer = running.ask("POST", NATIVE, json=BODY, headers={"x-status": str(status)})
    assert (answer.status_code, answer.json()) == (status, {"call": f"POST {NATIVE}"})


def test_health_is_a_bare_status(running: Gateway, without_ollama: Gateway) -> None:
    healthy = running.ask("GET", "/healthz", None)
    assert (healthy.status_code, healthy.text) == (200, "")
    assert without_ollama.ask("GET", "/healthz", None).status_code == 503


@pytest.mark.parametrize("route", routes_of(NEWEST), ids=lambda route: f"{route.method} {route.path}")
def test_a_call_of_ollamas_passes(running: Gateway, route: Any) -> None:
    path = route.path.replace("{name}", "chat:latest")
    answer = running.ask(route.method, path, "bob", json=BODY if route.method == "POST" else None)
    assert answer.status_code == 200
    if path in ("/api/tags", "/api/ps", "/v1/models"):  # the gateway answers these itself
        assert running.calls[-1] == f"GET {path}"
    else:
        assert route.method == "HEAD" or answer.json() == {"call": f"{route.method} {path}"}


def test_a_call_that_the_releases_ollama_lacks_is_closed(without_ollama: Gateway) -> None:
    later = set(ROUTES) - set(routes_of(lock().images["ollama"].name))
    assert len(later) >= 2
    for route in later:
        assert without_ollama.ask(route.method, route.path, json=BODY).status_code == 404
