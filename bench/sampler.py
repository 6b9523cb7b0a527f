"""The most of something that changes, looked at again and again while something else runs."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Sampler:
    """Looks until its block ends, and once more then.

    + look: gives how much it is now
    + every: seconds between two looks
    + most: what was seen
    """

    def __init__(self, look: Callable[[], int], every: float) -> None:
        self._look, self._every = look, every
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most = 0

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        ended = False
        while not ended:
            ended = self._done.wait(self._every)
            self.most = max(self.most, self._look())
