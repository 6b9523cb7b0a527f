"""Limits of each client by the real Envoy: each is held, and another client has none of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sealift.host.client_limits import form_of
from sealift.host.routes import ROUTES
from sealift.site.secrets import Secrets
from tests.peers import gateway
from tests.peers.gateway import ROLE, Gateway, keys_of, lock_of, message_of

OTHER = "carol"
HELD: dict[str, dict[str, Any]] = {
    "quick": {"requests_per_minute": 300},
    "slow": {"requests_per_minute": 2},
    "short": {"context": 100},
    "small": {"body_mib": 1},
    "modern": {"paths": ("openai",)},
    "vectors": {"paths": ("anthropic", "embeddings")},
}
MIB = 1 << 20
EVERY = [route.path for route in ROUTES if route.method == "POST"]


@pytest.fixture(scope="module")
def running(envoy_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    clients = {name: keys_of(name, **limits) for name, limits in HELD.items()}
    secrets = Secrets.model_construct(api_keys={**clients, OTHER: keys_of(OTHER)})
    folder = tmp_path_factory.mktemp("gateway")
    settings: dict[str, Any] = {"requests_per_minute": 40, "max_request_mib": 2}
    with gateway.serving(
        envoy_program, folder, lock_of("docker.io/ollama/ollama:latest"), secrets=secrets, **settings
    ) as found:
        yield found


def _prompt(of: int) -> dict[str, object]:
    return {"model": ROLE, "prompt": "x" * of}


def test_requests_a_minute_are_the_clients_own(running: Gateway) -> None:
    def statuses(client: str, times: int) -> list[int]:
        return [running.ask("GET", "/api/version", client).status_code for _ in range(times)]

    assert statuses("slow", 2) == [200, 200]
    for path in ("/api/chat", "/v1/chat/completions", "/v1/messages"):
        answer = running.ask("POST", path, "slow", json={"model": ROLE})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")
        assert message_of(answer, path).startswith("client: has asked too often.")
    assert statuses("quick", 60) == [200] * 60  # more than the site's
    assert statuses(OTHER, 1) == [200]


@pytest.mark.parametrize("path", ["/api/generate", "/v1/completions", "/v1/messages"])
def test_a_longer_prompt_than_the_clients_context_is_refused(running: Gateway, path: str) -> None:
    answer = running.ask("POST", path, "short", json=_prompt(6 * 200))
    assert answer.status_code == 400
    said = message_of(answer, path)
    assert said.startswith("prompt: some ") and "expected at most 100." in said
    assert running.ask("POST", path, "short", json=_prompt(6 * 50)).status_code == 200
    assert running.ask("POST", path, OTHER, json=_prompt(6 * 200)).status_code == 200


def test_more_context_than_the_clients_is_refused(running: Gateway) -> None:
    body = {"model": ROLE, "options": {"num_ctx": 2048}}
    answer = running.ask("POST", "/api/chat", "short", json=body)
    assert (answer.status_code, "more than the 100 tokens" in answer.text) == (400, True)
    assert running.ask("POST", "/api/chat", OTHER, json=body).status_code == 200


@pytest.mark.parametrize("path", ["/api/generate", "/v1/completions", "/v1/messages"])
def test_a_larger_body_than_the_clients_is_refused(running: Gateway, path: str) -> None:
    body = {"model": ROLE, "images": ["QUJD" * (MIB // 4)]}
    answer = running.ask("POST", path, "small", json=body)
    assert answer.status_code == 413
    assert message_of(answer, path).startswith("request: too large, expected 1 MiB at most of client small.")
    assert running.ask("POST", path, "small", json={"model": ROLE}).status_code == 200
    assert running.ask("POST", path, OTHER, json=body).status_code == 200


@pytest.mark.parametrize("path", EVERY)
def test_a_client_asks_in_the_forms_that_it_may(running: Gateway, path: str) -> None:
    before = len(running.calls)
    for client in ("modern", "vectors"):
        forms = HELD[client]["paths"]
        answer = running.ask("POST", path, client, json={"model": ROLE})
        if form_of(path) in forms:
            assert answer.status_code == 200
            before += 1
        else:
            assert answer.status_code == 403
            said = message_of(answer, path)
            expected = f"is not open to client {client}. It may ask in these forms: {', '.join(forms)}."
            assert said.startswith(f"POST {path}: {expected}")
    assert len(running.calls) == before
    assert running.ask("POST", path, OTHER, json={"model": ROLE}).status_code == 200


def test_lists_are_open_to_every_client(running: Gateway) -> None:
    for path in ("/", "/api/tags", "/v1/models", "/api/version"):
        assert running.ask("GET", path, "vectors").status_code == 200
