"""How much memory some processes take together, looked at again and again while something runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.sampler import Sampler

_EVERY = 0.5  # seconds


def memory_of(processes: Callable[[], Iterable[int]]) -> Sampler:
    """Their bytes, while a block runs; what they share with each other counts once."""
    return Sampler(lambda: sum(map(_own, processes())), _EVERY)


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
