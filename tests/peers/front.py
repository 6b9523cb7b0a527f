"""A front before a real server, as load balancers are: it answers some questions itself, and notes all."""

from __future__ import annotations

import http.client
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise


@dataclass(frozen=True)
class Asked:
    """A question, and when it came."""

    path: str
    headers: Mapping[str, str]
    when: float


@dataclass(frozen=True)
class Answer:
    """What the front says itself. A body shorter than its Content-Length is one that was cut off."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Front:
    """A front that runs."""

    port: int
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def gaps(self, part: str) -> list[float]:
        """Seconds between questions whose path has a part."""
        times = [asked.when for asked in self.asked if part in asked.path]
        return [later - sooner for sooner, later in pairwise(times)]


@contextmanager
def fronting(target: int, decide: Callable[[Asked], Answer | None]) -> Iterator[Front]:
    """Answer on a free port of loopback.

    + target: the port of the server behind it
    + decide: the front's own answer; None has the server asked
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = Asked(self.path, dict(self.headers), time.monotonic())
            front.asked.append(asked)
            answer = decide(asked)
            if answer is None:
                self._forward()
                return
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def _forward(self) -> None:
            server = http.client.HTTPConnection("127.0.0.1", target, timeout=30)
            server.request("GET", self.path, headers=dict(self.headers))
            got = server.getresponse()
            self.send_response(got.status)
            for name, value in got.getheaders():
                self.send_header(name, value)
            self.end_headers()
            shutil.copyfileobj(got, self.wfile)
            server.close()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        front = Front(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield front
        finally:
            server.shutdown()
