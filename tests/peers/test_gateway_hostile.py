"""What a hostile client does to a connection: nothing of it comes through, and others are served."""

from __future__ import annotations

import contextlib
import resource
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

_HEAD = "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nx-api-key: alice-key\r\n"
_BODY = '{"model":"chat"}'
_CHUNKED = "Transfer-Encoding: chunked\r\n"
_INNER = "POST /api/pull HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
# Requests that two readers take for different ones.
SMUGGLED = {
    "two lengths": f"{_HEAD}Content-Length: 16\r\nContent-Length: 0\r\n\r\n{_BODY}",
    "two lengths in one": f"{_HEAD}Content-Length: 16, 0\r\n\r\n{_BODY}",
    "a length and chunks": f"{_HEAD}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{_INNER}",
    "an encoding nobody knows": f"{_HEAD}Transfer-Encoding: xchunked\r\nContent-Length: 16\r\n\r\n{_BODY}",
    "two encodings": f"{_HEAD}{_CHUNKED}Transfer-Encoding: identity\r\n\r\n0\r\n\r\n{_INNER}",
    "a space before a colon": f"{_HEAD}Content-Length : 16\r\n\r\n{_BODY}",
    "a length that is none": f"{_HEAD}Content-Length: +16\r\n\r\n{_BODY}",
    "a length below zero": f"{_HEAD}Content-Length: -1\r\n\r\n{_BODY}",
    "a chunk of no size": f"{_HEAD}{_CHUNKED}\r\nx\r\n{_BODY}\r\n0\r\n\r\n",
    "a chunk of too large a size": f"{_HEAD}{_CHUNKED}\r\n{'f' * 17}\r\n{_BODY}\r\n0\r\n\r\n",
    "a null in a header": f"{_HEAD}X-Note: a\0b\r\nContent-Length: 16\r\n\r\n{_BODY}",
}
# Requests with a length within another header, which Envoy passes on as one line.
MADE_PLAIN = {
    "a folded line": f"{_HEAD}X-Note: a\r\n Content-Length: 0\r\nContent-Length: 16\r\n\r\n{_BODY}",
    "a bare carriage return": f"{_HEAD}X-Note: a\rContent-Length: 0\r\nContent-Length: 16\r\n\r\n{_BODY}",
}
_MANY = 2000
_MIB = 1 << 20


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


def _all_of(connection: ssl.SSLSocket) -> bytes:
    """What comes until the connection ends, or nothing has come for two seconds."""
    connection.settimeout(2)
    said = b""
    with contextlib.suppress(TimeoutError, ConnectionError, ssl.SSLError):
        while part := connection.recv(65536):
            said += part
    return said


@pytest.mark.parametrize("name", SMUGGLED)
def test_a_request_that_can_be_read_in_two_ways_is_refused(running: Gateway, name: str) -> None:
    before = len(running.calls)
    with _connect(running) as connection:
        connection.sendall(SMUGGLED[name].encode())
        said = _all_of(connection)
    assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), said[:200]
    assert said.count(b"HTTP/1.1 ") == 1
    assert running.calls[before:] == []
    _is_alive(running)


@pytest.mark.parametrize("name", MADE_PLAIN)
def test_a_header_within_a_header_stays_there(running: Gateway, name: str) -> None:
    before = len(running.calls)
    with _connect(running) as connection:
        connection.sendall(MADE_PLAIN[name].encode())
        said = _all_of(connection)
    assert said.startswith(b"HTTP/1.1 200 ") and said.count(b"HTTP/1.1 ") == 1
    assert running.calls[before:] == ["POST /api/chat"]


def test_a_body_without_end_is_refused_at_the_limit_and_takes_no_memory(running: Gateway) -> None:
    before = running.memory_mib()
    for head in (f"Content-Length: {1 << 30}\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"):
        chunked = "chunked" in head
        part = b"x" * _MIB
        part = f"{len(part):x}\r\n".encode() + part + b"\r\n" if chunked else part
        with _connect(running) as connection:
            connection.sendall((_HEAD + head).encode())
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                for _ in range(1024):
                    connection.sendall(part)
            said = _all_of(connection)
        assert said.startswith(b"HTTP/1.1 413 ") or said == b"", said[:200]
    assert running.memory_mib() - before < 30
    _is_alive(running)


def test_who_sends_a_header_byte_by_byte_is_cut_off_and_nobody_waits_for_it(running: Gateway) -> None:
    began = time.monotonic()
    with contextlib.ExitStack() as held:
        slow = [held.enter_context(_connect(running)) for _ in range(50)]
        for at in range(3):
            for connection in slow:
                connection.sendall(_HEAD[at : at + 1].encode())
            asked = time.monotonic()
            _is_alive(running)
            assert time.monotonic() - asked < 2
            time.sleep(1)
        ended = [_until_the_end(connection) for connection in slow]
    assert all(said.startswith(b"HTTP/1.1 408 ") for said in ended), ended[0]
    assert time.monotonic() - began < 25


def _until_the_end(connection: ssl.SSLSocket) -> bytes:
    connection.settimeout(20)
    said = b""
    while part := connection.recv(4096):
        said += part
    return said


def test_two_thousand_connections_that_say_nothing_keep_nobody_out(running: Gateway) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    context = ssl.create_default_context(cafile=str(running.certificate))
    before = running.memory_mib()
    try:
        with contextlib.ExitStack() as held:
            for _ in range(_MANY):
                held.enter_context(_connect(running, context))
            _is_alive(running)
            assert running.memory_mib() - before < 150
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
