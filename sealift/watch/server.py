"""A page on loopback, for a browser on this machine and for nobody else.

No page of the web can read it: the name that a browser asks for must be this machine's own, not one that was
made to lead here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sealift.errors import SealiftError, one_line

ADDRESS = "127.0.0.1"
_TOLD = 300  # characters of what went wrong
_REPORT = "That is a mistake in sealift: write it again with --out, and send its makers what that says."
_SLOW_S = 30  # after which a client that says nothing is let go


class _Kept:
    """A page that is made anew when somebody asks and it is old; who asks meanwhile waits for the same."""

    def __init__(self, make: Callable[[], bytes], fresh_s: float) -> None:
        self._make, self._fresh_s = make, fresh_s
        self._lock = threading.Lock()
        self._page, self._made = b"", float("-inf")

    def page(self) -> bytes:
        with self._lock:
            if time.monotonic() - self._made > self._fresh_s:
                self._page, self._made = self._make(), time.monotonic()
            return self._page


def server(make: Callable[[], bytes], port: int, policy: str, fresh_s: float) -> ThreadingHTTPServer:
    """A server that listens, and answers once it is told to `serve_forever`.

    + make: makes the page; where it raises SealiftError, that is what the browser gets; where it fails
      otherwise, a sentence
    + port: 0 for any
    + policy: what browsers let the page do
    + fresh_s: seconds for which a page is good

    Raises SealiftError where the port is taken.
    """
    kept = _Kept(make, fresh_s)
    names: list[list[str]] = []

    class Handler(BaseHTTPRequestHandler):
        timeout = _SLOW_S
        server_version, sys_version = "sealift", ""

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def _answer(self) -> None:
            if self.headers.get_all("Host") not in names:
                self._send(403, b"Ask by the address that sealift printed.\n", "text/plain")
            elif self.path != "/":
                self._send(404, b"There is one page here: /\n", "text/plain")
            else:
                try:
                    page = kept.page()
                except SealiftError as error:
                    self._send(503, f"{error}\n".encode(), "text/plain")
                except Exception as error:
                    said = f"The page cannot be made: {one_line(repr(error))[:_TOLD]}. {_REPORT}\n"
                    self._send(500, said.encode(), "text/plain")
                else:
                    self._send(200, page, "text/html")

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Content-Security-Policy", f"{policy}; frame-ancestors 'none'")
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: a browser asks every minute."""

    try:
        made = ThreadingHTTPServer((ADDRESS, port), Handler)
    except OSError as error:
        raise SealiftError(
            f"{ADDRESS}:{port}: cannot be listened on ({error.strerror}), expected a free port. "
            "Name another one: --port"
        ) from None
    names.extend([f"{name}:{made.server_address[1]}"] for name in (ADDRESS, "localhost"))
    return made
