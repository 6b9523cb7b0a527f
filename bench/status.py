"""How long `sealift status` takes on many real hosts, and where the time goes: `python -m bench.status`.

The hosts are a lab's, all on the processors of this machine, which they share with the control node and
each other. So the processor time is told beside the time that passes: of the command with its children, and
of the hosts. They run the demo release by a real `sealift apply`, but for the model that answers chat: each
would have one in memory.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.on_lab import CHECKOUT, SEALIFT, deployed, environment, lab_up, parser
from sealift.errors import SealiftError
from sealift.lab.cgroup import host_cgroup
from sealift.lab.layout import Lab, LabHost


@dataclass(frozen=True)
class _Took:
    """Seconds: that passed, and of processor time, of the command and of all hosts."""

    wall: float
    command: float
    hosts: float


def main() -> int:
    """Run as a command; returns the exit status."""
    options = parser("status", 24, 5, "bench-status").parse_args()
    work = options.work.resolve()
    try:
        with lab_up(work, options.hosts) as lab:
            site = deployed(work, options.sources, lab)
            for some in sorted({1, 3, options.hosts}):
                _tell(some, [_status(lab, site, some) for _ in range(options.rounds)])
    except SealiftError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _status(lab: Lab, site: Path, hosts: int) -> _Took:
    limits = [part for number in range(1, hosts + 1) for part in ("--limit", f"h{number}")]
    asked = [LabHost(lab, number) for number in range(1, hosts + 1)]
    before, started = sum(map(_used, asked)), time.monotonic()
    child = subprocess.Popen(
        [*SEALIFT, "status", str(site), *limits],
        env=environment(lab),
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SealiftError(f"sealift status: exit code {child.returncode}, expected 0. Run it by hand.")
    return _Took(wall, usage.ru_utime + usage.ru_stime, sum(map(_used, asked)) - before)


def _used(host: LabHost) -> float:
    """Seconds of processor time that a host has taken. Source: cgroup-v2, cpu.stat."""
    stat = (host_cgroup(host).folders[0] / "cpu.stat").read_text()
    return int(dict(line.split() for line in stat.splitlines())["usage_usec"]) / 1e6


def _tell(hosts: int, took: list[_Took]) -> None:
    def spread(values: list[float]) -> str:
        return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"

    print(
        f"{hosts:2} hosts: {spread([each.wall for each in took])}; processor time: the command with its "
        f"children {spread([each.command for each in took])}, all hosts "
        f"{spread([each.hosts for each in took])}; "
        f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
