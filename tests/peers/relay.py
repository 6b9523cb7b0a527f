"""A line to a server that breaks: every connection is cut after so many bytes, as long as cuts are left."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Relay:
    """A relay that runs.

    + passed: bytes that came from the server
    """

    port: int
    cut_after: int
    cuts: int
    passed: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def note(self, count: int) -> None:
        with self._guard:
            self.passed += count

    def take_cut(self) -> bool:
        with self._guard:
            self.cuts -= 1
            return self.cuts >= 0


@contextmanager
def relaying(target: int, cut_after: int, cuts: int) -> Iterator[Relay]:
    """Relay a free port to another on loopback.

    + cut_after: bytes from the server
    + cuts: how many connections are cut
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = Relay(listener.getsockname()[1], cut_after, cuts)
        threading.Thread(target=_accept, args=(listener, target, relay), daemon=True).start()
        yield relay


def _accept(listener: socket.socket, target: int, relay: Relay) -> None:
    with suppress(OSError):  # the listener is closed at the end
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", target))
            threading.Thread(target=_forward, args=(client, server), daemon=True).start()
            threading.Thread(target=_answer, args=(server, client, relay), daemon=True).start()


def _forward(client: socket.socket, server: socket.socket) -> None:
    with suppress(OSError):
        while piece := client.recv(1 << 16):
            server.sendall(piece)
        server.shutdown(socket.SHUT_WR)


def _until(left: int) -> int:
    """Bytes to receive at once, none beyond a cut."""
    return left if 0 < left < 1 << 16 else 1 << 16


def _answer(server: socket.socket, client: socket.socket, relay: Relay) -> None:
    sent = 0
    with server, client:
        with suppress(OSError):
            while piece := server.recv(_until(relay.cut_after - sent)):
                client.sendall(piece)
                relay.note(len(piece))
                sent += len(piece)
                if sent >= relay.cut_after and relay.take_cut():
                    break
        for side in (server, client):  # closing alone does not wake who reads from it
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
