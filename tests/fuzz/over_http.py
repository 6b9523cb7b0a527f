"""What a registry answers: a server on loopback that says any bytes at all."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

from sealift.blob import Blob
from sealift.content import digest_of
from sealift.sources import arrivals, http, registry
from sealift.sources.arrivals import Arrivals
from sealift.sources.registry import Registry
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target

_BLOB = bytes(range(256)) * 4


class _Server:
    """Gives each request the next of its answers, as it stands, and hangs up."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self._asked = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def say(self, answers: list[bytes]) -> None:
        self.answers, self._asked = answers, 0

    def _serve(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            with connection:
                try:
                    connection.recv(65536)
                    connection.sendall(self._next())
                    connection.shutdown(socket.SHUT_WR)
                except OSError:  # hung up on: the answer was enough
                    continue

    def _next(self) -> bytes:
        self._asked += 1
        return self.answers[(self._asked - 1) % len(self.answers)] if self.answers else b""


@cache
def _server() -> _Server:
    return _Server()


def answer(content: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Connection: close", *headers)
    return "\r\n".join((*lines, "", "")).encode("latin-1") + content


@contextmanager
def asking(answers: list[bytes], folder: Path) -> Iterator[Registry]:
    """A registry that says this, one answer after the other and then again, without any patience with it.

    + folder: with no login of this machine in it
    """
    server = _server()
    server.say(answers)
    with (
        patch.object(http, "PAUSE", 0),
        patch.object(http, "ATTEMPTS", 2),
        patch.object(registry, "ATTEMPTS", 2),
        patch.object(http, "_TIMEOUT", (1, 1)),
        patch.object(arrivals, "PAUSE", 0),
        patch.object(arrivals, "_CUTS", 2),
    ):
        yield Registry(f"127.0.0.1:{server.port}", "a/b", {"DOCKER_CONFIG": str(folder)})


def _ask(case: Case, folder: Path) -> object:
    with asking([content for _, content in case], folder) as found:
        manifest = found.manifest("latest")
        blob = Blob(digest=digest_of(_BLOB).digest, size=len(_BLOB))
        fetched = Arrivals(folder).download(blob, found.reader(blob.digest), "127.0.0.1", lambda _: None)
        return manifest, fetched, found.read(blob, 4096)


_TOKEN = json.dumps({"token": "abc", "expires_in": 60}).encode()
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + _BLOB + b"\r\n0\r\n\r\n"
_RANGE = answer(_BLOB, "206 Partial Content", f"Content-Range: bytes 0-{len(_BLOB) - 1}/{len(_BLOB)}")
_AGAIN = answer(b"", "302 Found", "Location: http://127.0.0.1:{port}/x")


def targets() -> tuple[Target, ...]:
    """All of them."""
    realm = f'WWW-Authenticate: Bearer realm="http://127.0.0.1:{_server().port}/token",service="s"'
    refused = answer(b"", "401 Unauthorized", realm)
    moved = _AGAIN.replace(b"{port}", b"%d" % _server().port)
    plain = [answer(b"{}"), _RANGE, answer(_BLOB)]
    seeds = (plain, [refused, answer(_TOKEN), *plain], [moved, answer(b"{}"), _CHUNKED, moved, _CHUNKED])
    words = (
        b"Location: ",
        b"Content-Length: ",
        b"Content-Range: ",
        b"\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    )
    more = (
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Encoding: gzip\r\n",
        b'Bearer realm="',
        b"http://[",
        b"https://",
    )
    parts = tuple(tuple((str(number), answer) for number, answer in enumerate(seed)) for seed in seeds)
    return (Target("registry's answers", parts, _ask, words + more, where="127.0.0.1", cost=20),)
