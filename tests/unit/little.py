"""What is done with foreign input takes little of time and memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.fuzz.judge import little_memory

_SECONDS = 5.0


@contextmanager
def little() -> Iterator[None]:
    """What is done within takes little of time and memory."""
    began = time.process_time()
    with little_memory():
        yield
    assert time.process_time() - began < _SECONDS
