"""What becomes of requests while Ollama is away, by the real Envoy with the files of a host: they wait.

Ollama is stood in for by a server that comes and goes on one port.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from sealift.host.client_inputs import FRONT_RETRIES, HELD_HEADER, UNSENT_HEADER
from sealift.operations.hold import AWAY
from sealift.services import CLUSTERS
from sealift.site.secrets import Secrets
from tests.peers.fleet import front_door
from tests.peers.gateway import ROLE, SECRETS, Gateway, keys_of, message_of
from tests.peers.live_host import Host
from tests.peers.registry import free_port
from tests.peers.stand_in import Ollama

_TRY = "x-envoy-attempt-count"
_AWAY_S = 2.5
_HELD_S = 4  # far more than a request takes that is not held


class Upstream:
    """Ollama that is there or not."""

    def __init__(self) -> None:
        self.port = free_port()
        self.calls: list[str] = []
        self._server: ThreadingHTTPServer | None = None

    def come(self) -> None:
        """Be there."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Ollama)
        self._server.calls = self.calls  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def go(self) -> None:
        """Be gone for new connections."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextmanager
def _gateway(
    folder: Path, program: Path, secrets: Secrets = SECRETS, **settings: Any
) -> Iterator[tuple[Upstream, Host, Gateway]]:
    upstream = Upstream()
    upstream.come()
    host = Host(folder, upstream.port)
    try:
        with host.running(program, host.generation(secrets, **settings)) as gateway:
            assert _ask(gateway).status_code == requests.codes.ok
            time.sleep(1.5)  # the connection that stood open is closed
            yield upstream, host, gateway
    finally:
        upstream.go()


def _ask(
    gateway: Gateway, path: str = "/api/chat", client: str = "alice", **headers: str
) -> requests.Response:
    return gateway.ask("POST", path, client, json={"model": ROLE}, headers=headers)


def _hold(host: Host, folder: Path) -> None:
    """Point the clusters nowhere, as a host does."""
    away, to = folder / "away", folder / "live" / CLUSTERS
    subprocess.run(("sh", "-c", f"sed '{AWAY}' {to} >{away} && mv -T {away} {to}"), check=True)
    assert "127.0.0.1, port_value: 1}" in to.read_text()
    end = time.monotonic() + 10
    while '"held"' not in host.says("/stats?filter=cds.version_text"):
        assert time.monotonic() < end
        time.sleep(0.05)


def _waits(asked: Future[requests.Response]) -> bool:
    time.sleep(1)
    return not asked.done()


def test_requests_wait_while_ollama_is_away_and_are_all_answered(tmp_path: Path, envoy_program: Path) -> None:
    with (
        _gateway(tmp_path, envoy_program) as (upstream, _, gateway),
        ThreadPoolExecutor(16) as pool,
    ):
        upstream.go()
        large = json.dumps({"model": ROLE}) + " " * (6 << 20)
        asked = [pool.submit(_ask, gateway, path) for path in ("/api/chat", "/v1/messages", "/api/show")]
        asked += [pool.submit(gateway.ask, "POST", "/api/chat", "bob", data=large)]
        asked += [pool.submit(gateway.ask, "GET", "/api/tags", "bob")]
        time.sleep(_AWAY_S)
        assert not any(each.done() for each in asked), [each.result().text for each in asked if each.done()]
        upstream.calls.clear()
        upstream.come()
        assert [each.result().status_code for each in asked] == [200] * len(asked)
        # Each once, and a model was asked for nothing twice.
        assert sorted(upstream.calls) == sorted(
            ("POST /api/chat", "POST /api/chat", "POST /v1/messages", "POST /api/show", "GET /api/tags")
        )


def test_a_request_waits_as_long_as_is_said_and_then_gets_503_in_its_own_form(
    tmp_path: Path, envoy_program: Path
) -> None:
    paths = ("/api/chat", "/v1/chat/completions", "/v1/messages")
    with (
        _gateway(tmp_path, envoy_program, hold_s=3) as (upstream, _, gateway),
        ThreadPoolExecutor(16) as pool,
    ):
        upstream.go()
        began = time.monotonic()
        # A client cannot say itself how long it has waited.
        answers = [pool.submit(_ask, gateway, path, **{HELD_HEADER: "9999999999"}) for path in paths]
        for path, answer in zip(paths, (each.result() for each in answers), strict=True):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.headers[UNSENT_HEADER] == "1"
            assert message_of(answer, path).startswith("Ollama: does not answer now.")
        assert 2 <= time.monotonic() - began < 10


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_a_clock_that_is_set_neither_ends_a_wait_nor_makes_it_last(
    tmp_path: Path, envoy_program: Path, jump_s: int
) -> None:
    upstream = Upstream()
    upstream.come()
    host = Host(tmp_path, upstream.port)
    made = host.generation(SECRETS, hold_s=13)
    name = "gateway/live/listener.yaml"
    at = int(time.time()) + 5
    text = made.files[name].content.decode()
    jumps = f"(os.time() + (os.time() < {at} and 0 or {jump_s}))"
    assert text.count("os.time()") == 1
    content = text.replace("os.time()", jumps).encode()
    made = replace(made, files={**made.files, name: replace(made.files[name], content=content)})
    with host.running(envoy_program, made) as gateway, ThreadPoolExecutor(2) as pool:
        time.sleep(1.5)
        upstream.go()
        began = time.monotonic()
        asked = pool.submit(_ask, gateway)
        while time.time() < at + 1:
            time.sleep(0.1)
        assert not asked.done()
        assert asked.result(timeout=30).status_code == 503
        assert time.monotonic() - began < 25


def test_no_client_has_more_requests_waiting_than_its_queue_while_ollama_is_away(
    tmp_path: Path, envoy_program: Path
) -> None:
    secrets = Secrets.model_construct(api_keys={"alice": keys_of("alice"), "bob": keys_of("bob")})
    with (
        _gateway(tmp_path, envoy_program, secrets, queue=3) as (upstream, _, gateway),
        ThreadPoolExecutor(16) as pool,
    ):
        upstream.go()
        asked = [pool.submit(_ask, gateway) for _ in range(8)]
        other = pool.submit(_ask, gateway, client="bob")
        time.sleep(_AWAY_S)
        refused = [each.result() for each in asked if each.done()]
        assert len(refused) == 5 and not other.done()
        for answer in refused:
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert message_of(answer, "/api/chat").startswith(
                "client: has as many requests waiting as it may."
            )
        upstream.come()
        assert all(
            each.result().status_code == 200 for each in (*asked, other) if each.result() not in refused
        )


def test_only_the_last_try_of_a_front_door_waits(tmp_path: Path, envoy_program: Path) -> None:
    with (
        _gateway(tmp_path, envoy_program) as (upstream, _, gateway),
        ThreadPoolExecutor(2) as pool,
    ):
        upstream.go()
        for number in range(1, FRONT_RETRIES + 1):
            answer = _ask(gateway, **{_TRY: str(number)})
            assert (answer.status_code, answer.headers[UNSENT_HEADER]) == (503, "1")
        last = pool.submit(_ask, gateway, **{_TRY: str(FRONT_RETRIES + 1)})
        assert _waits(last)
        upstream.come()
        assert last.result().status_code == 200


def test_a_host_that_holds_is_passed_over_and_one_that_is_alone_holds_for_the_front_door(
    tmp_path: Path, envoy_program: Path
) -> None:
    upstream = Upstream()
    upstream.come()
    hosts = {"h1": (ROLE, "embed"), "h2": (ROLE,)}
    with (
        front_door(envoy_program, tmp_path, hosts, other={"h1": {"instead": upstream.port}}) as door,
        ThreadPoolExecutor(1) as pool,
    ):
        upstream.go()
        time.sleep(1.5)  # until the gateway has closed its idle connections
        began = time.monotonic()
        assert {_ask(door.asked).status_code for _ in range(20)} == {200}
        assert time.monotonic() - began < _HELD_S
        alone = pool.submit(door.asked.ask, "POST", "/api/embed", json={"model": "embed"})
        time.sleep(_HELD_S)
        assert not alone.done()
        assert "failed_outlier_check" not in door.envoy.says("/clusters")
        upstream.calls.clear()
        upstream.come()
        assert alone.result().status_code == 200
        assert upstream.calls == ["POST /api/embed"]
    upstream.go()


def test_without_a_hold_a_request_fails_at_once(tmp_path: Path, envoy_program: Path) -> None:
    with _gateway(tmp_path, envoy_program, hold_s=0) as (upstream, _, gateway):
        upstream.go()
        answer = _ask(gateway)
        assert (answer.status_code, answer.headers[UNSENT_HEADER]) == (503, "1")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_in_flight_ends_whole_while_what_comes_is_held(
    tmp_path: Path, envoy_program: Path, workers: int
) -> None:
    upstream = Upstream()
    upstream.come()
    host = Host(tmp_path, upstream.port)
    generation = host.generation(SECRETS, queue=16)
    with host.running(envoy_program, generation, workers) as gateway, ThreadPoolExecutor(16) as pool:
        stream = pool.submit(_ask, gateway, **{"x-parts": "40"})
        behind = [pool.submit(_ask, gateway) for _ in range(2)]  # wait for it, of the same client
        while "POST /api/chat" not in upstream.calls:
            time.sleep(0.05)
        _hold(host, tmp_path)
        before = len(upstream.calls)
        held = [pool.submit(_ask, gateway) for _ in range(4)]
        held += [pool.submit(_ask, gateway, client="bob")]
        assert host.in_flight() > 0
        lines = [json.loads(line) for line in stream.result().text.splitlines()]
        assert (len(lines), lines[-1]) == (40, {"done": True})
        assert [each.result().status_code for each in behind] == [200, 200]
        assert not any(each.done() for each in held)
        assert len(upstream.calls) <= before + len(behind)
        end = time.monotonic() + 10
        while host.in_flight():
            assert time.monotonic() < end
            time.sleep(0.05)
        upstream.go()
        time.sleep(1)
        upstream.come()
        host.place(generation, CLUSTERS)
        host.takes(generation)
        assert [each.result().status_code for each in held] == [200] * len(held)
    upstream.go()
