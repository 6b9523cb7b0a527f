"""How long `sealift status` takes on many real hosts, and where the time goes: `python -m bench.status`.

The hosts are a lab's, all on the processors of this machine, which they share with the control node and
each other. So the processor time is told beside the time that passes: of the command with its children, and
of the hosts. They run the demo release by a real `sealift apply`, but for the model that answers chat: each
would have one in memory.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from sealift.errors import SealiftError
from sealift.lab.cgroup import host_cgroup
from sealift.lab.layout import Lab, LabHost

_ROLE = "embed"
_CHECKOUT = Path(__file__).parents[1]


@dataclass(frozen=True)
class _Took:
    """Seconds: that passed, and of processor time, of the command and of all hosts."""

    wall: float
    command: float
    hosts: float


def main() -> int:
    """Run as a command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.status", description="Measure sealift status.")
    parser.add_argument("--hosts", type=int, default=24, help="of the lab")
    parser.add_argument("--rounds", type=int, default=5, help="runs for each number of hosts")
    parser.add_argument("--work", type=Path, default=Path("build/bench-status"), help="folder to write below")
    parser.add_argument(
        "--sources", type=Path, default=Path("build/ingredients"), help="the demo's ingredients"
    )
    options = parser.parse_args()
    work = options.work.resolve()
    try:
        with _lab(work, options.hosts) as lab:
            site = _deployed(work, options.sources, lab)
            for some in sorted({1, 3, options.hosts}):
                _tell(some, [_status(lab, site, some) for _ in range(options.rounds)])
    except SealiftError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


@contextmanager
def _lab(work: Path, hosts: int) -> Iterator[Lab]:
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    lab = Lab(work / "lab")
    try:
        _run(lab, "sealift", "lab", "up", "--hosts", str(hosts), "--no-control")
        yield lab
    finally:
        _run(lab, "sealift", "lab", "down")
        shutil.rmtree(work, ignore_errors=True)


def _deployed(work: Path, sources: Path, lab: Lab) -> Path:
    """The lab's inventory, once its hosts run the release."""
    release = yaml.safe_load((_CHECKOUT / "releases/demo.yaml").read_text())
    role = release["roles"][_ROLE]
    release |= {"name": "fleet", "roles": {_ROLE: role}}
    release["models"] = {role["model"]: release["models"][role["model"]]}
    (work / "fleet.yaml").write_text(yaml.safe_dump(release))
    lock, bundle, from_there = work / "fleet.lock", work / "bundle", ("--sources", str(sources))
    _run(lab, "sealift", "lock", str(work / "fleet.yaml"), *from_there, "--out", str(lock))
    key = ("--key", str(lab.state / "release_key"))
    _run(lab, "sealift", "build", str(lock), *from_there, *key, "--out", str(bundle))
    trust = ("--allowed-signers", str(lab.state / "allowed_signers"))
    _run(lab, "sealift", "import", str(bundle), "--depot", str(lab.depot), *trust)
    site = work / "fleet/fleet.py"
    shutil.copytree(_CHECKOUT / "inventories/lab", site.parent)
    (site.parent / "lab.py").rename(site)
    settings = site.parent / "group_data/all.py"
    settings.write_text(f"{settings.read_text()}\nrelease = 'fleet:{release['version']}'\n")
    _run(lab, "sealift", "apply", str(site))
    return site


def _status(lab: Lab, site: Path, hosts: int) -> _Took:
    limits = [part for number in range(1, hosts + 1) for part in ("--limit", f"h{number}")]
    asked = [LabHost(lab, number) for number in range(1, hosts + 1)]
    before, started = sum(map(_used, asked)), time.monotonic()
    child = subprocess.Popen(
        [*_SEALIFT, "status", str(site), *limits],
        env=_environment(lab),
        cwd=_CHECKOUT,
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


_SEALIFT = (sys.executable, "-m", "sealift")


def _environment(lab: Lab) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "SEALIFT_LAB": str(lab.state)}


def _run(lab: Lab, *command: str) -> None:
    print("+", *command, file=sys.stderr, flush=True)
    words = [*_SEALIFT, *command[1:]]
    ran = subprocess.run(
        words, env=_environment(lab), cwd=_CHECKOUT, stdin=subprocess.DEVNULL, stdout=sys.stderr
    )
    if ran.returncode != 0:
        raise SealiftError(f"{' '.join(command)}: exit code {ran.returncode}, expected 0. See above.")


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
