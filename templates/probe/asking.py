"""Asks a host's gateway as a client does, and waits for no answer longer than it was told to."""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .said import Cost, NonsenseError, chat_cost, embed_cost, read_object

if TYPE_CHECKING:
    from typing_extensions import Buffer  # of collections.abc from Python 3.12 on

OUTCOMES = ("ok", "refused", "failed", "timeout")  # of a request
_MOST_BYTES = 4 << 20  # of an answer
_TOKENS = 8  # few: somebody waits for the one slot of a small host meanwhile
_PROMPT = "Count from one to one hundred."
# As a front door's first try: the gateway holds others while Ollama is away, and a probe is to know it.
_UNHELD = {"x-envoy-attempt-count": "1"}


class RefusedError(Exception):
    """Whoever asks is to ask later: the limit of requests is used up, or Ollama's queue is full."""


class FailedError(Exception):
    """No answer: why, without a word of what was said."""


@dataclass(frozen=True)
class Answer:
    """What a role's answer took, in seconds, with the connection and whatever it waited for.

    + first_token_s: until it began; None of a role that does not speak
    + answer_s: until it ended
    """

    answer_s: float
    cost: Cost
    first_token_s: float | None = None


@dataclass
class Gateway:
    """A gateway, and the certificate that it showed last.

    + address: of the network, and port
    + name: that its certificate must be for
    + context: that trusts the site's CA alone
    + key: the client's
    + expires: of the certificate, seconds since 1970
    """

    address: tuple[str, int]
    name: str
    context: ssl.SSLContext
    key: str = field(repr=False)
    expires: float | None = None

    def listing(self, path: str, within_s: float) -> dict[str, object]:
        """What a list says."""
        with self._asked("GET", path, None, within_s) as response:
            return read_object(response.read())

    def chat(self, role: str, within_s: float) -> Answer:
        """Have a role say a few words, as a stream."""
        started, first, last = time.monotonic(), None, b""
        body = {
            "model": role,
            "messages": [{"role": "user", "content": _PROMPT}],
            "options": {"num_predict": _TOKENS, "temperature": 0},
            "stream": True,
        }
        with self._asked("POST", "/api/chat", body, within_s) as response:
            for line in response:
                first, last = first or time.monotonic() - started, line
        cost = chat_cost(read_object(last))
        return Answer(time.monotonic() - started, cost, first)

    def embed(self, role: str, within_s: float) -> Answer:
        """Have a role embed a few words."""
        started = time.monotonic()
        with self._asked("POST", "/api/embed", {"model": role, "input": _PROMPT}, within_s) as response:
            cost = embed_cost(read_object(response.read()))
        return Answer(time.monotonic() - started, cost)

    @contextmanager
    def _asked(
        self, method: str, path: str, body: Mapping[str, object] | None, within_s: float
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer with status 200.

        Raises RefusedError, FailedError, and what sockets raise: TimeoutError where it does not end in time.
        """
        end = time.monotonic() + within_s
        with socket.create_connection(self.address, within_s) as plain:
            plain.settimeout(_left(end))
            with self.context.wrap_socket(plain, server_hostname=self.name) as secure:
                shown = secure.getpeercert() or {}
                self.expires = float(ssl.cert_time_to_seconds(str(shown["notAfter"])))
                connection = http.client.HTTPConnection(self.name)
                connection.sock = _Within(secure, end)
                headers = {
                    "Authorization": f"Bearer {self.key}",
                    "Content-Type": "application/json",
                    **_UNHELD,
                }
                connection.request(method, path, json.dumps(body) if body else None, headers)
                response = connection.getresponse()
                # Ollama's own 503 is a full queue. The gateway's says when to ask again: nobody is there.
                busy = response.status == 503 and response.headers["Retry-After"] is None
                if response.status == 429 or busy:
                    raise RefusedError(f"status {response.status}")
                if response.status != 200:
                    raise FailedError(f"status {response.status}")
                yield response


ASK: Mapping[str, Callable[[Gateway, str, float], Answer]] = {"chat": Gateway.chat, "embed": Gateway.embed}


def outcome_of(error: Exception) -> tuple[str, str]:
    """How a request ended, and why, without a word of what was said."""
    match error:
        case RefusedError():
            return "refused", str(error)
        case TimeoutError():
            return "timeout", "no answer in time"
        case FailedError():
            return "failed", str(error)
        case NonsenseError():
            return "failed", "an answer that is none"
        case OSError():
            return "failed", str(error)[:200]
    return "failed", type(error).__name__


class _Within:
    """A connection that ends at a deadline, however slowly the other side speaks."""

    def __init__(self, of: ssl.SSLSocket, end: float) -> None:
        self._of, self._end = of, end

    def sendall(self, data: bytes) -> None:
        self._of.settimeout(_left(self._end))
        self._of.sendall(data)

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_Reading(self._of, self._end))

    def close(self) -> None:
        """Nothing: an answer that ends with its connection is read after this. Who opened it closes it."""


class _Reading(io.RawIOBase):
    def __init__(self, of: ssl.SSLSocket, end: float) -> None:
        self._of, self._end, self._read = of, end, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        self._of.settimeout(_left(self._end))
        count = self._of.recv_into(buffer)
        self._read += count
        if self._read > _MOST_BYTES:
            raise FailedError("an answer without end")
        return count


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
