"""Sends hosts what hostile clients do: `python -m tests.lab.hostile FILE`.

FILE is JSON with `ca`, `key` and `asked`, as triples of a host's name, its address and a port. Prints what
came of it as JSON, by ADDRESS:PORT: the first line of each answer, by what was sent.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.peers.hostile import endless, head, many_files, read_all, smuggled, until_the_end

_SLOW = 50  # connections
_SILENT = 2000
_ANSWER_S = 120  # of a model


@dataclass(frozen=True)
class _Door:
    name: str
    address: str
    port: int
    context: ssl.SSLContext
    key: str

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection((self.address, self.port), 30)
        return self.context.wrap_socket(plain, server_hostname=self.name)

    def sent(self, request: str) -> str:
        with self.connect() as connection:
            connection.sendall(request.encode())
            return _status(read_all(connection))

    def served(self) -> str:
        """What an honest client is told."""
        with self.connect() as connection:
            connection.settimeout(_ANSWER_S)
            connection.sendall(
                f"GET /api/version HTTP/1.1\r\nHost: x\r\nx-api-key: {self.key}\r\n\r\n".encode()
            )
            return _status(connection.recv(4096))


def _status(said: bytes) -> str:
    return said.split(b"\r\n")[0].decode(errors="replace")


def _slow(door: _Door) -> dict[str, str]:
    with contextlib.ExitStack() as held:
        connections = [held.enter_context(door.connect()) for _ in range(_SLOW)]
        for connection in connections:
            connection.sendall(head(door.key)[:1].encode())
        beside = door.served()
        ended = {_status(until_the_end(connection)) for connection in connections}
    return {"byte by byte": ", ".join(sorted(ended)), "beside those": beside}


def _silent(door: _Door) -> dict[str, str]:
    with many_files(), contextlib.ExitStack() as held:
        for _ in range(_SILENT):
            held.enter_context(door.connect())
        return {"beside 2,000 silent ones": door.served()}


def _endless(door: _Door) -> dict[str, str]:
    found = {}
    for chunked in (False, True):
        with door.connect() as connection:
            found[f"endless, {'chunked' if chunked else 'with a length'}"] = _status(
                endless(connection, door.key, chunked)
            )
    return found


def _tried(door: _Door) -> dict[str, str]:
    tries: tuple[Callable[[_Door], dict[str, str]], ...] = (_endless, _slow, _silent)
    found = {name: door.sent(request) for name, request in smuggled(door.key).items()}
    for each in tries:
        found |= each(door)
    return {**found, "after": door.served()}


def main(told: dict[str, Any]) -> None:
    """One after the other: each would have the machine for itself."""
    context = ssl.create_default_context(cafile=told["ca"])
    doors = [_Door(name, address, port, context, told["key"]) for name, address, port in told["asked"]]
    print(json.dumps({f"{door.address}:{door.port}": _tried(door) for door in doors}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
