"""Keeps what Alertmanager tells in a file of the host: `python3 alertlog.py FOLDER PORT`.

It is for sites where no mail leaves the network, and for who comes later and asks what was. Each alert that
begins or ends is a line of JSON in `alerts.jsonl`; `heartbeat` has the time of the last sign of life.
Source of what comes in: "webhook_config" in Alertmanager's documentation, version 4.
"""

from __future__ import annotations

import io
import json
import os
import socket
import sys
import time
from collections import OrderedDict
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer  # of collections.abc from Python 3.12 on

MOST_BODY = 4 << 20  # bytes
MOST_FILE = 8 << 20  # bytes of alerts.jsonl; one older file is kept beside it
_PATIENCE_S = 10  # for a whole request: others wait meanwhile
_REMEMBERED = 10_000  # alerts: Alertmanager sends those of a group again whenever one of them changes


class RefusedError(Exception):
    """What came in is no notification. Its text says why."""


class Log:
    """The files of a folder, and what was written last of each alert.

    + folder: of `alerts.jsonl` and `heartbeat`
    + most: bytes of `alerts.jsonl`
    """

    def __init__(self, folder: Path, most: int = MOST_FILE) -> None:
        self.path = folder / "alerts.jsonl"
        self.heartbeat = folder / "heartbeat"
        self._most = most
        self._written: OrderedDict[tuple[str, str], str] = OrderedDict()

    def alerts(self, body: bytes, now: float) -> int:
        """Write down what began and what ended; returns how many lines that are.

        + now: seconds since 1970

        Raises RefusedError where it is no notification, OSError where the disk is full.
        """
        lines = []
        for alert in parse(body):
            key, status = (alert["fingerprint"], alert["begin"]), alert["status"]
            if self._written.get(key) != status:
                lines.append((key, status, json.dumps({"time": utc(now), **alert}, sort_keys=True)))
        if lines:
            self._append("".join(f"{line}\n" for _, _, line in lines).encode())
        for key, status, _ in lines:
            self._written[key] = status
            self._written.move_to_end(key)
        while len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)
        return len(lines)

    def alive(self, body: bytes, now: float) -> None:
        """Note a sign of life. Raises RefusedError where it is none, OSError where the disk is full."""
        if any(alert["status"] == "firing" for alert in parse(body)):
            temporary = self.heartbeat.with_name(".heartbeat")
            temporary.write_text(f"{now:.0f}\n")
            temporary.replace(self.heartbeat)

    def _append(self, lines: bytes) -> None:
        if self.path.exists() and self.path.stat().st_size + len(lines) > self._most:
            self.path.replace(self.path.with_name("alerts.jsonl.1"))
        with self.path.open("ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())


def parse(body: bytes) -> list[dict[str, Any]]:
    """The alerts of a notification. Raises RefusedError where it is none."""
    try:
        found = json.loads(body)
        return [_alert(each) for each in found["alerts"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RefusedError("no notification of Alertmanager") from None


def _alert(given: dict[str, Any]) -> dict[str, Any]:
    labels = {str(name): str(value) for name, value in given["labels"].items()}
    status = given["status"]
    if status not in ("firing", "resolved"):
        raise ValueError
    return {
        "status": status,
        "alert": labels["alertname"],
        "labels": {name: value for name, value in labels.items() if name != "alertname"},
        "summary": str(given["annotations"].get("summary", "")),
        "begin": str(given["startsAt"]),
        "end": str(given["endsAt"]) if status == "resolved" else "",
        "fingerprint": str(given["fingerprint"]),
    }


def utc(now: float) -> str:
    """A time as people and sorting have it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Reading(io.RawIOBase):
    """What comes in until a deadline, however slowly it does."""

    def __init__(self, of: socket.socket, end: float) -> None:
        self._of, self._end = of, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._of.settimeout(left)
        return self._of.recv_into(buffer)


class Handler(BaseHTTPRequestHandler):
    """POST /alerts and POST /heartbeat."""

    timeout = _PATIENCE_S
    log: Log

    def setup(self) -> None:
        """As it is, but that reading ends at a deadline."""
        super().setup()
        self.rfile = io.BufferedReader(_Reading(self.connection, time.monotonic() + self.timeout))

    def do_POST(self) -> None:
        """Take a notification: 200, or Alertmanager sends it again (5xx), or gives it up (4xx)."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._answer(411, "expected Content-Length")
        elif len(length) > 10 or int(length) > MOST_BODY:
            self._answer(413, f"expected {MOST_BODY} bytes at most")
        elif self.path not in ("/alerts", "/heartbeat"):
            self._answer(404, "expected /alerts or /heartbeat")
        else:
            self._take(self.rfile.read(int(length)))

    def _take(self, body: bytes) -> None:
        try:
            if self.path == "/alerts":
                self.log.alerts(body, time.time())
            else:
                self.log.alive(body, time.time())
        except RefusedError as error:
            self._answer(400, str(error))
        except OSError as error:
            self._answer(503, f"{error.strerror}")
        else:
            self._answer(200, "")

    def _answer(self, status: int, why: str) -> None:
        if why:
            print(f"{self.command} refused with {status}: {why}", file=sys.stderr, flush=True)
        self.close_connection = True
        self.send_response_only(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing of what comes in: it may be anybody's."""


def serve(folder: Path, address: tuple[str, int]) -> HTTPServer:
    """A server that takes notifications, one after the other.

    + folder: takes the files
    """
    handler = type("Logging", (Handler,), {"log": Log(folder)})
    return HTTPServer(address, handler)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), ("", int(sys.argv[2]))).serve_forever()
