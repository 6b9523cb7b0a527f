"""What a hostile client does to a connection: nothing of it comes through, and others are served."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.peers import gateway
from tests.peers.fleet import front_door
from tests.peers.gateway import NEWEST, ROLE, SECRETS, Gateway, lock_of
from tests.peers.hostile import endless, head, made_plain, many_files, read_all, smuggled, until_the_end

_MANY = 2000
_KEY = "alice-key"


@pytest.fixture(scope="module", params=["gateway", "front door"])
def running(
    envoy_program: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    more: dict[str, Any] = {"max_connections": _MANY + 100, "max_request_mib": 1}
    if request.param == "gateway":
        lock = lock_of(NEWEST)
        with gateway.serving(envoy_program, folder, lock, requests_per_minute=60000, **more) as found:
            yield found
            _is_alive(found)
    else:
        with front_door(envoy_program, folder, {"h1": (ROLE,)}, secrets=SECRETS, **more) as door:
            yield (found := replace(door.asked, calls=door.hosts["h1"].calls))
            _is_alive(found)


def _is_alive(running: Gateway) -> None:
    assert running.ask("POST", "/api/chat", json={"model": "chat"}).status_code == 200


def _connect(running: Gateway, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    context = context or ssl.create_default_context(cafile=str(running.certificate))
    plain = socket.create_connection(("127.0.0.1", running.port), 30)
    return context.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("name", smuggled(_KEY))
def test_a_request_that_can_be_read_in_two_ways_is_refused(running: Gateway, name: str) -> None:
    before = len(running.calls)
    with _connect(running) as connection:
        connection.sendall(smuggled(_KEY)[name].encode())
        said = read_all(connection)
    assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), said[:200]
    assert said.count(b"HTTP/1.1 ") == 1
    assert running.calls[before:] == []
    _is_alive(running)


@pytest.mark.parametrize("name", made_plain(_KEY))
def test_a_header_within_a_header_stays_there(running: Gateway, name: str) -> None:
    before = len(running.calls)
    with _connect(running) as connection:
        connection.sendall(made_plain(_KEY)[name].encode())
        said = read_all(connection)
    assert said.startswith(b"HTTP/1.1 200 ") and said.count(b"HTTP/1.1 ") == 1
    assert running.calls[before:] == ["POST /api/chat"]


def test_a_body_without_end_is_refused_at_the_limit_and_takes_no_memory(running: Gateway) -> None:
    before = running.memory_mib()
    for chunked in (False, True):
        with _connect(running) as connection:
            said = endless(connection, _KEY, chunked)
        assert said.startswith(b"HTTP/1.1 413 ") or said == b"", said[:200]
    assert running.memory_mib() - before < 30
    _is_alive(running)


def test_who_sends_a_header_byte_by_byte_is_cut_off_and_nobody_waits_for_it(running: Gateway) -> None:
    began = time.monotonic()
    with contextlib.ExitStack() as held:
        slow = [held.enter_context(_connect(running)) for _ in range(50)]
        for at in range(3):
            for connection in slow:
                connection.sendall(head(_KEY)[at : at + 1].encode())
            asked = time.monotonic()
            _is_alive(running)
            assert time.monotonic() - asked < 2
            time.sleep(1)
        ended = [until_the_end(connection) for connection in slow]
    assert all(said.startswith(b"HTTP/1.1 408 ") for said in ended), ended[0]
    assert time.monotonic() - began < 25


def test_who_never_begins_with_tls_is_cut_off(running: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", running.port), 20) as plain:
        assert plain.recv(1) == b""
    _is_alive(running)


@pytest.mark.exhaustive
def test_a_connection_without_a_request_is_not_kept_for_ever(running: Gateway) -> None:
    with _connect(running) as connection:
        connection.settimeout(100)
        assert connection.recv(1) == b""


def test_two_thousand_connections_that_say_nothing_keep_nobody_out(running: Gateway) -> None:
    context = ssl.create_default_context(cafile=str(running.certificate))
    before = running.memory_mib()
    with many_files(), contextlib.ExitStack() as held:
        for _ in range(_MANY):
            held.enter_context(_connect(running, context))
        _is_alive(running)
        assert running.memory_mib() - before < 150
