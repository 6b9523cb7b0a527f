"""What a wave costs per host, from 50 hosts to 500, none of which is real: `python -m bench.fleet`.

pyinfra's own connector `@fake` answers at once in place of SSH and of hosts. So what is left is the engine:
pyinfra with its preparing, its barriers and its report, and sealift around it. Half of the operations ask for
a fact first. Each wave runs in a process of its own, and all processor time of it and of its children counts,
which other work on the machine changes little; the time that passes is told beside it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from sealift.fleet import wave
from sealift.host.settings import SiteSettings
from sealift.site.inventory import Host, Inventory

_SIZES = (50, 100, 200, 350, 500)
_OPERATIONS = 20
_DEPLOY = """\
from pyinfra.operations import files, server

{lines}
"""
_DATA = '{"fake_delay": 0, "fake_delay_jitter": 0}'


def main() -> int:
    """Run as a command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description="Measure waves of fake hosts.")
    parser.add_argument("--rounds", type=int, default=3, help="waves of each size")
    parser.add_argument("--whole", action="store_true", help="measure one process for all hosts as well")
    parser.add_argument("--work", type=Path, default=Path("build/bench-fleet"), help="folder to write below")
    parser.add_argument("--wave", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--most", type=int, default=wave.MOST, help="hosts of one process")
    options = parser.parse_args()
    if options.wave:
        return _wave(options.wave, options.most)
    work = options.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    lines = "\n".join(
        f'files.directory(name="Folder {number}", path="/srv/{number}")'
        if number % 2
        else f'server.shell(name="Command {number}", commands=["true {number}"])'
        for number in range(_OPERATIONS)
    )
    (work / "deploy.py").write_text(_DEPLOY.format(lines=lines))
    modes = [options.most, *([max(_SIZES)] if options.whole else [])]
    print("| hosts of one process | hosts | rounds | CPU per host, ms | range | wall, s | largest, MiB |")
    print("|---|---|---|---|---|---|---|")
    found: dict[tuple[int, int], list[tuple[float, float, float]]] = {}
    for _ in range(options.rounds):
        for most in modes:
            for size in _SIZES:
                found.setdefault((most, size), []).append(_measured(work, size, most))
    for (most, size), runs in found.items():
        per_host = sorted(cpu / size * 1000 for cpu, _, _ in runs)
        print(
            f"| {most} | {size} | {len(runs)} | {statistics.median(per_host):.0f} | "
            f"{per_host[0]:.0f} to {per_host[-1]:.0f} | {statistics.median(w for _, w, _ in runs):.1f} | "
            f"{max(memory for _, _, memory in runs):.0f} |"
        )
    return 0


def _measured(work: Path, size: int, most: int) -> tuple[float, float, float]:
    """Seconds of processor time and that passed, and MiB of the largest process."""
    (work / "fleet.py").write_text(f'hosts = [(f"@fake/h{{n:03}}", {_DATA}) for n in range({size})]\n')
    command = (sys.executable, "-m", "bench.fleet", "--wave", str(size), "--most", str(most))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    started = time.monotonic()
    child = subprocess.Popen(command, cwd=work, env=environment)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"a wave of {size} failed: see {work}")
    return used.ru_utime + used.ru_stime, time.monotonic() - started, used.ru_maxrss / 1024


def _wave(size: int, most: int) -> int:
    """One wave, in the folder where `fleet.py` and `deploy.py` are."""
    settings = SiteSettings.model_construct()
    hosts = tuple(Host(f"@fake/h{n:03}", frozenset(), settings) for n in range(size))
    wave.MOST = most
    site = Inventory("fleet", Path("fleet.py").resolve(), hosts)
    result = wave.apply_wave(site, Path("log"), wave.Watch(lambda _: None, lambda _: None))
    done = [name for name, host in result.hosts.items() if host.ok and len(host.changed) == _OPERATIONS]
    return 0 if len(done) == size and result.ok else 1


if __name__ == "__main__":
    sys.exit(main())
