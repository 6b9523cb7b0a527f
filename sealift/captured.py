"""A command's output, up to a bound: what another machine prints does not fill the memory of this one."""

from __future__ import annotations

import io
import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

MOST_ERRORS = 1 << 20  # bytes of standard error
_CHUNK = 1 << 16  # bytes; a pipe of Linux holds as many, pipe(7)


class TooMuchError(Exception):
    """A command printed more than it may.

    + most: bytes that it may print there
    """

    def __init__(self, most: int) -> None:
        super().__init__(f"more than {most} bytes")
        self.most = most


def errors_in(file: IO[bytes]) -> bytes:
    """What a command that has ended printed into a file as errors: all, or the first and last half mebibyte.

    The last line has the reason, and one of the first ones that the command began.
    """
    half = MOST_ERRORS // 2
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size <= MOST_ERRORS:
        return file.read(size)
    first = file.read(half)
    file.seek(size - half)
    return first + b"\n" + file.read(half)


@dataclass
class _Sink:
    """Where a pipe's bytes go, and how many it may have."""

    file: IO[bytes]
    most: int
    got: int = 0

    def take(self, chunk: bytes) -> None:
        self.got += len(chunk)
        if self.got > self.most:
            raise TooMuchError(self.most)
        self.file.write(chunk)


def captured(
    command: Sequence[str], given: bytes, timeout_s: float, most: int, into: IO[bytes] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command as `subprocess.run` does; give its exit code and what it printed.

    + given: its standard input
    + timeout_s: seconds for all of it
    + most: bytes that it may print; of errors it may print a mebibyte
    + into: gets what it prints, in place of the result

    Raises subprocess.TimeoutExpired and TooMuchError, and kills the command before.
    """
    end = time.monotonic() + timeout_s
    said, errors = io.BytesIO(), io.BytesIO()
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as child,
        selectors.DefaultSelector() as pipes,
    ):
        if child.stdin is None or child.stdout is None or child.stderr is None:  # for the type checker
            raise AssertionError
        try:
            os.set_blocking(child.stdin.fileno(), False)
            pipes.register(child.stdin, selectors.EVENT_WRITE)
            pipes.register(child.stdout, selectors.EVENT_READ, _Sink(into or said, most))
            pipes.register(child.stderr, selectors.EVENT_READ, _Sink(errors, MOST_ERRORS))
            unsent = memoryview(given)
            while pipes.get_map():
                left = end - time.monotonic()
                if left <= 0:
                    raise subprocess.TimeoutExpired(command, timeout_s)
                for key, _ in pipes.select(left):
                    if key.fileobj is child.stdin:
                        unsent = _sent(key.fd, unsent)
                        more = bool(unsent)
                    else:
                        chunk = os.read(key.fd, _CHUNK)
                        key.data.take(chunk)
                        more = bool(chunk)
                    if not more:
                        pipes.unregister(key.fileobj)
                        if key.fileobj is child.stdin:
                            child.stdin.close()
            child.wait(max(end - time.monotonic(), 0))
        except BaseException:
            child.kill()
            raise
    return subprocess.CompletedProcess(command, child.returncode, said.getvalue(), errors.getvalue())


def _sent(pipe: int, data: memoryview) -> memoryview:
    """Send what goes at once; gives what is left of it."""
    try:
        return data[os.write(pipe, data) :]
    except BrokenPipeError:  # it wants no more; its exit code tells why
        return data[:0]
