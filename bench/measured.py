"""Runs a command as an operator does: its time, cores, memory and disk, and how much others disturbed it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.sampler import Sampler
from sealift.errors import SealiftError

_POLL = 0.05  # seconds between two looks at the disk
_TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Sample:
    """One run of a command.

    + seconds: from its start to its end
    + cpu: seconds of processor time, of all its processes
    + memory: peak bytes of its largest process
    + disk: most bytes of the disk that were taken at once, by it or by others
    + others: share of the machine's processor time that went to others meanwhile, the host's other machines
      among them
    """

    seconds: float
    cpu: float
    memory: int
    disk: int
    others: float


def run(command: Sequence[str | Path], environment: Mapping[str, str], watched: Path) -> Sample:
    """Run a command to its end.

    + environment: all of it
    + watched: a folder on the disk that it writes to

    Raises SealiftError with what it said where it fails.
    """
    free = _free(watched)
    with (
        Sampler(lambda: free - _free(watched), _POLL) as disk,
        (watched / "said").open("w+") as said,
    ):
        busy, start = _busy(), time.monotonic()
        child = subprocess.Popen(
            [str(part) for part in command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds, child.returncode = time.monotonic() - start, os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        others = max(0.0, _busy() - busy - cpu) / (seconds * CORES)
        if child.returncode != 0:
            said.seek(0)
            raise SealiftError(f"{' '.join(map(str, command))}: exited {child.returncode}:\n{said.read()}")
    return Sample(seconds, cpu, usage.ru_maxrss * 1024, disk.most, others)


def _busy() -> float:
    """Seconds that all cores have worked for anybody, or were taken by the host. Source: proc_stat(5)."""
    user, nice, system, _, _, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _free(folder: Path) -> int:
    """Bytes that are free on a folder's disk; what waits to be written counts as written."""
    found = os.statvfs(folder)
    return found.f_bfree * found.f_frsize


def warm(folder: Path) -> None:
    """Read all files of a folder into the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass
