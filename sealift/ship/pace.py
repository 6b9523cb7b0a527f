"""How fast the control node sends: to one host, and to all together."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sealift.errors import SealiftError
from sealift.ship.types import Order

_MOST = 1 << 24  # bytes handed over at once; without a rate, the kernel takes what the pipe has room for
_SHARE = 8  # of a second's bytes at once: less is smoother, and costs more system calls


@dataclass
class Pace:
    """So many bytes per second; 0 is no limit. Several threads may share it."""

    rate: int = 0
    _due: float = 0.0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def chunk(self) -> int:
        """Bytes to hand over at once."""
        return max(self.rate // _SHARE, 1) if self.rate else _MOST

    def took(self, count: int) -> None:
        """Another `count` bytes were sent: wait until more may be."""
        if self.rate:
            with self._guard:
                now = time.monotonic()
                self._due = max(self._due, now) + count / self.rate
                left = self._due - now
            time.sleep(left)


def total_pace(orders: Iterable[Order]) -> Pace:
    """The pace of the control node, to all hosts together."""
    return Pace(min((order.rate_total for order in orders if order.rate_total), default=0))


def send_file(pipe: int, path: Path, offset: int, size: int, paces: Sequence[Pace]) -> Iterator[int]:
    """Send a file from an offset on, and give the bytes of each step.

    + pipe: file descriptor
    + size: of the file
    + paces: that hold, all of them

    Raises SealiftError where the file is shorter or cannot be read, BrokenPipeError where nobody reads any
    more.
    """
    most = min((pace.chunk for pace in paces), default=_MOST)
    try:
        with path.open("rb") as file:
            while offset < size:
                sent = os.sendfile(pipe, file.fileno(), offset, min(size - offset, most))
                if not sent:
                    raise SealiftError(
                        f"{path}: has {offset} bytes, expected {size}. Import the bundle again."
                    )
                offset += sent
                yield sent
                for pace in paces:
                    pace.took(sent)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SealiftError(f"{path}: {error.strerror}. Import the bundle again.") from None
