"""Shipping over SSH: a connection per host, all hosts at once.

A thread per host hands files to its ssh process by sendfile, so no blob's byte is ever in this process, and
the host's side is a shell script (receiver.sh), which hashes while it writes.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import IO

from sealift.blob import Blob
from sealift.captured import errors_in
from sealift.errors import SealiftError
from sealift.host_paths import BLOBS, PARTIAL, ROOT
from sealift.progress import Meter, Progress
from sealift.ship.pace import Pace, send_file, total_pace
from sealift.ship.plan import LISTING, Item, parse_listing, plan
from sealift.ship.types import BlobPath, Order, Shipped
from sealift.ssh import MOST, Gathered, Ssh, on_all

RECEIVER = LISTING + resources.files("sealift.ship").joinpath("receiver.sh").read_text()
_PIPE_BYTES = 1 << 20  # Linux's default /proc/sys/fs/pipe-max-size: fewer switches between the two processes
_LINE_LIMIT = 1 << 12  # bytes; a host's line is foreign
_ATTEMPTS = 2  # a partial blob that lost its end in a power cut fails once, and is then shipped whole


def over_ssh(orders: Sequence[Order], blob_path: BlobPath, progress: Progress) -> Gathered[Shipped]:
    """Ship to all hosts at once; a `sealift.ship.types.Transport`."""
    meter = Meter("shipping", 0, progress)
    by_host = {order.host: order for order in orders}
    total = total_pace(orders)
    return on_all(list(by_host), lambda host: _ship(by_host[host], blob_path, meter, total))


def _ship(order: Order, blob_path: BlobPath, meter: Meter, total: Pace) -> Shipped:
    """Ship to one host. Raises SealiftError where it ends with less than everything stored there."""
    ssh = order.ssh
    with tempfile.TemporaryFile() as stderr:
        child = subprocess.Popen(
            ssh.command(RECEIVER, BLOBS, PARTIAL, f"{ROOT}/ship.lock"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        if child.stdin is None or child.stdout is None:  # for the type checker: both are pipes
            raise AssertionError
        fcntl.fcntl(child.stdin, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        receiver = _Receiver(order.ssh, child.stdin, child.stdout, (total, Pace(order.rate)))
        try:
            return _dialogue(receiver, order, blob_path, meter)
        except _HungUpError:
            code = child.wait()
            raise ssh.failure(code, errors_in(stderr)) from None
        finally:
            receiver.close()
            child.wait()


class _HungUpError(Exception):
    """The receiver is gone; ssh knows why."""


@dataclass
class _Receiver:
    """The two ends of a running receiver.sh, and how fast it may be sent to."""

    ssh: Ssh
    stdin: IO[bytes]
    stdout: IO[bytes]
    paces: Sequence[Pace]

    def say(self, *words: object) -> None:
        """Send a line."""
        try:
            os.write(self.stdin.fileno(), f"{' '.join(map(str, words))}\n".encode())
        except BrokenPipeError:
            raise _HungUpError from None

    def send(self, path: Path, item: Item, meter: Meter) -> None:
        """Send a blob, from its offset on."""
        self.say("blob", item.blob.hex, item.blob.size, item.offset)
        try:
            for sent in send_file(self.stdin.fileno(), path, item.offset, item.blob.size, self.paces):
                meter.add(sent)
        except BrokenPipeError:
            raise _HungUpError from None

    def answer(self) -> str:
        """Its next line."""
        line = self.stdout.readline(_LINE_LIMIT)
        if not line:
            raise _HungUpError
        return line.decode(errors="replace").rstrip("\n")

    def lines(self, last: str) -> Iterator[str]:
        """What it says, up to this line."""
        while (line := self.answer()) != last:
            yield line

    def listing(self) -> Iterator[str]:
        """What it says before it takes anything. Raises SealiftError where it does not come to an end."""
        left = MOST
        for line in self.lines("ready"):
            left -= len(line) + 1  # its end: empty lines have nothing else
            if left < 0:
                raise SealiftError(self.ssh.too_much(MOST))
            yield line

    def close(self) -> None:
        """Let it end: nothing more comes."""
        self.stdin.close()
        self.stdout.close()


def _dialogue(receiver: _Receiver, order: Order, blob_path: BlobPath, meter: Meter) -> Shipped:
    have = parse_listing(order.host, receiver.listing())
    first = plan(order.blobs, have)
    items = [*first.items, *_altered(receiver, first.check)]
    total = sum(item.bytes for item in items)
    if total > have.free:
        raise SealiftError(
            f"{order.host}: has {have.free >> 20} MiB free for its store, needs {total >> 20} MiB. "
            "Make room there."
        )
    shipped = Shipped(blobs=len(items), bytes=total)
    if items:
        meter.expect(total)
    for _ in range(_ATTEMPTS):
        bad = _deliver(receiver, items, blob_path, meter)
        if not bad:
            return shipped
        items = [Item(item.blob, offset=0) for item in items if item.blob.hex in bad]
        meter.expect(sum(item.bytes for item in items))
    names = " ".join(str(blob_path(item.blob.digest)) for item in items)
    raise SealiftError(
        f"{order.host}: blobs arrive with another content than their names say: {names}. "
        "Remove these files from the depot, import the bundle again, then ship again."
    )


def _altered(receiver: _Receiver, suspects: Sequence[Blob]) -> list[Item]:
    """Have touched blobs hashed again; those that are not what they should be are to be shipped anew."""
    items = []
    for blob in suspects:
        receiver.say("check", blob.hex, blob.size)
        if receiver.answer() != f"kept {blob.hex}":
            items.append(Item(blob, offset=0))
    return items


def _deliver(receiver: _Receiver, items: Sequence[Item], blob_path: BlobPath, meter: Meter) -> frozenset[str]:
    """Send blobs while reading what becomes of them; give those that arrived with a bad hash."""
    if not items:
        return frozenset()
    failures: list[Exception] = []
    wanted = frozenset(item.blob.hex for item in items)

    def send() -> None:
        try:
            for item in items:
                receiver.send(blob_path(item.blob.digest), item, meter)
            receiver.say("end")
        except (SealiftError, OSError, _HungUpError) as error:
            failures.append(error)
            receiver.stdin.close()  # so that the receiver ends, and with it the loop below

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        verdicts = (line.partition(" ") for line in receiver.lines("done"))
        bad = frozenset(hex_ for verdict, _, hex_ in verdicts if verdict == "bad" and hex_ in wanted)
    except _HungUpError:
        sender.join()
        raise next((f for f in failures if not isinstance(f, _HungUpError)), _HungUpError()) from None
    sender.join()
    return bad
