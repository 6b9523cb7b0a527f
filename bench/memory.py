"""How much memory some processes take together, looked at again and again while something runs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

_EVERY = 0.5  # seconds


class Sampler:
    """Looks at processes until its block ends.

    + most: bytes that they took at once; what they share with each other counts once
    """

    def __init__(self, processes: Callable[[], Iterable[int]]) -> None:
        self._processes = processes
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
        while not self._done.wait(_EVERY):
            self.most = max(self.most, sum(_own(process) for process in self._processes()))


def family() -> Iterable[int]:
    """This process and its children. Source: proc_pid_task(5), children."""
    me = os.getpid()
    yield me
    for task in Path(f"/proc/{me}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def of_namespace(process: str) -> Callable[[], Iterable[int]]:
    """All processes that share a process's PID namespace."""
    wanted = Path(f"/proc/{process}/ns/pid").readlink()

    def found() -> Iterable[int]:
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if (path / "ns/pid").readlink() == wanted:
                    yield int(path.name)
            except OSError:  # it has just ended
                continue

    return found


def _own(process: int) -> int:
    """Bytes of a process's memory, what it shares by its share. Source: proc_pid_smaps(5), Pss."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) << 10
