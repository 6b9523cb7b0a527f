"""A stand-in of Ollama behind a gateway."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler


class Ollama(BaseHTTPRequestHandler):
    """Says for every call which it was, after the seconds of `x-wait`, with the status of `x-status`.

    Lists are what its server has as `lists`, by path, or else are empty. With `x-parts`, it is a stream of so
    many, a tenth of a second apart.
    """

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        if self.headers["User-Agent"] != "Envoy/HC":  # which asks for its health
            self.server.calls.append(f"{self.command} {self.path}")  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.answer()

    def answer(self) -> None:
        """Answer what was read."""
        time.sleep(float(self.headers["x-wait"] or 0))
        if self.headers["x-parts"]:
            self._stream(int(self.headers["x-parts"]))
            return
        body = json.dumps({"call": f"{self.command} {self.path}"}).encode()
        if self.path in ("/api/tags", "/api/ps", "/v1/models"):
            body = getattr(self.server, "lists", {}).get(self.path, b'{"models":[],"data":[]}')
        self.send_response(int(self.headers["x-status"] or 200))
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            with suppress(ConnectionError):  # the gateway has given up
                self.wfile.write(body)

    def _stream(self, parts: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(ConnectionError):
            for number in range(parts):
                line = json.dumps({"done": number + 1 == parts}).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                time.sleep(0.1)
            self.wfile.write(b"0\r\n\r\n")

    def do_GET(self) -> None:
        self.do_POST()

    def do_HEAD(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""
