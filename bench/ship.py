"""How long a release takes to many hosts: `python -m bench.ship`.

Light hosts (namespaces of this machine, each with an sshd) whose links have a rate both ways, the control
node's too, so that the wire and not this machine's processors decides. Each way of shipping gets the same
hosts and the same release, in turn, round by round. A part that was measured for itself is kept beside the
others, and the tables are of all of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import ship_page, ship_ways
from bench.against_ansible import ansible_in
from bench.machine import describe
from bench.memory import memory_of, of_namespace
from bench.share import Idle
from bench.ship_hosts import ShapedHosts
from bench.ship_page import Run
from bench.ship_swarm import swarm
from bench.ship_ways import Release, Shipment
from sealift.errors import SealiftError

Way = Callable[[ShapedHosts, Release], Shipment | float]
_CURVE = (8, 16, 32)  # hosts
_CURVE_RATE, _CURVE_MIB = 25, 128  # Mbit/s: 32 links of it are a load that two cores bear
_STAR, _STAR_RATE, _STAR_MIB = 8, 100, 64
_UNSHAPED, _UNSHAPED_MIB = 3, 256
_IDLE, _IDLE_MIB = 24, 8


@dataclass(frozen=True)
class _Bench:
    """What all parts have in common."""

    work: Path
    rounds: int
    ansible: Path
    curve: Sequence[int]

    @contextmanager
    def fleet(self, count: int, rate: int, mib: int) -> Iterator[tuple[ShapedHosts, Release]]:
        """Hosts that are there for a while, and a release for them.

        + rate: Mbit/s of each link; 0: as fast as it can
        """
        shutil.rmtree(self.work / "hosts", ignore_errors=True)
        (self.work / "hosts").mkdir(parents=True)
        hosts = ShapedHosts(self.work / "hosts", count + 1, f"{rate}mbit" if rate else "")
        try:
            hosts.begin()
            yield hosts, ship_ways.make_release(hosts, mib)
        finally:
            hosts.end()
            shutil.rmtree(self.work / "hosts", ignore_errors=True)


def main() -> int:
    """Run as a command; returns the exit status."""
    parts = {
        "wire": _wire,
        "curve": _curve,
        "star": _star,
        "unshaped": _unshaped,
        "dead": _dead,
        "idle": _idle,
    }
    parser = argparse.ArgumentParser(prog="python -m bench.ship", description="Measure ways of shipping.")
    parser.add_argument("--part", action="append", choices=parts, help="measure it alone; may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way")
    parser.add_argument("--hosts", type=int, nargs="+", default=_CURVE, help="numbers of hosts of the curve")
    parser.add_argument("--work", type=Path, default=Path("build/bench-ship"), help="folder to write below")
    parser.add_argument("--ansible", type=Path, default=Path("build/ansible-venv"), help="its environment")
    parser.add_argument("--page", type=Path, help="page whose tables are replaced; default: they are printed")
    parser.add_argument("--plot", type=Path, help="SVG file for the times over the number of hosts")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no host is left behind
    bench = _Bench(options.work.resolve(), options.rounds, options.ansible.resolve(), options.hosts)
    kept = bench.work / "runs.json"
    try:
        for name in options.part or parts:
            before = json.loads(kept.read_text()) if kept.exists() else []
            runs = [run for run in before if run["part"] != name]
            for run in parts[name](bench):
                runs.append(dataclasses.asdict(run))
                kept.write_text(json.dumps(runs, indent=1))
    except (SealiftError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    found = [Run(**run) for run in json.loads(kept.read_text())]
    tables = ship_page.tables(describe(bench.work), found)
    if options.page is None:
        print(tables)
    else:
        ship_page.replace(options.page, tables)
    if options.plot:
        options.plot.write_text(ship_page.plot(found))
    return 0


def _run(part: str, name: str, way: Way, hosts: ShapedHosts, release: Release) -> Run:
    hosts.empty()
    with Idle() as idle, memory_of(of_namespace(hosts.pid(hosts.fleet[0]))) as memory:
        began = time.monotonic()
        found = way(hosts, release)
        seconds = time.monotonic() - began
    if isinstance(found, float):
        seconds = found
    control = found.memory if isinstance(found, Shipment) else 0
    rate = int(hosts.rate.removesuffix("mbit") or 0)
    run = Run(part, name, len(hosts.fleet), rate, release.bytes, seconds, idle.share, control, memory.most)
    print(
        f"{part}: {name}, {run.hosts} hosts: {seconds:.2f} s, idle {idle.share:.0%}",
        file=sys.stderr,
        flush=True,
    )
    return run


def _wire(bench: _Bench) -> Iterator[Run]:
    """Whether links have their rate: a plain connection."""
    for rate, mib in ((_CURVE_RATE, 16), (_STAR_RATE, _STAR_MIB)):
        with bench.fleet(1, rate, mib) as (hosts, release):
            for _ in range(bench.rounds):
                yield _run("wire", "TCP", ship_ways.wire, hosts, release)


def _curve(bench: _Bench) -> Iterator[Run]:
    """One host, then more and more of them."""
    for count in bench.curve:
        with bench.fleet(count, _CURVE_RATE, _CURVE_MIB) as (hosts, release):
            for number in range(bench.rounds):
                yield _run("curve", "alone", ship_ways.alone, hosts, release)
                yield _run("curve", "chain", ship_ways.chain, hosts, release)
                hosts.require_all(release.sums)
                if count == bench.curve[0] or not number:  # it takes long
                    yield _run("curve", "swarm", swarm, hosts, release)


def _star(bench: _Bench) -> Iterator[Run]:
    """What else there is, to eight hosts."""
    ansible_in(bench.ansible)
    ways: dict[str, Way] = {
        "chain": ship_ways.chain,
        "swarm": swarm,
        "star": ship_ways.star,
        "scp": ship_ways.scp,
        "rsync": ship_ways.rsync,
        "pyinfra": ship_ways.pyinfra,
        "Ansible": ship_ways.ansible(bench.ansible),
    }
    with bench.fleet(_STAR, _STAR_RATE, _STAR_MIB) as (hosts, release):
        for _ in range(bench.rounds):
            yield _run("star", "alone", ship_ways.alone, hosts, release)
            for name, way in ways.items():
                yield _run("star", name, way, hosts, release)
                if name != "swarm":  # which stores them elsewhere, and has looked itself
                    hosts.require_all(release.sums)


def _unshaped(bench: _Bench) -> Iterator[Run]:
    """Links that are faster than processors."""
    ways: dict[str, Way] = {
        "chain": ship_ways.chain,
        "star": ship_ways.star,
        "scp": ship_ways.scp,
        "rsync": ship_ways.rsync,
    }
    with bench.fleet(_UNSHAPED, 0, _UNSHAPED_MIB) as (hosts, release):
        for _ in range(bench.rounds):
            for name, way in ways.items():
                yield _run("unshaped", name, way, hosts, release)
                hosts.require_all(release.sums)


def _dead(bench: _Bench) -> Iterator[Run]:
    """Without a fault and with one."""
    for _ in range(bench.rounds):
        with bench.fleet(_STAR, _CURVE_RATE, _STAR_MIB) as (hosts, release):
            yield _run("dead", "none", ship_ways.chain, hosts, release)
            yield _run("dead", "the middle one", ship_ways.chain_with_a_death, hosts, release)


def _idle(bench: _Bench) -> Iterator[Run]:
    """Nothing to ship."""
    with bench.fleet(_IDLE, 0, _IDLE_MIB) as (hosts, release):
        ship_ways.star(hosts, release)
        hosts.require_all(release.sums)
        for _ in range(bench.rounds):
            began = time.monotonic()
            with Idle() as idle:
                found = ship_ways.chain(hosts, release)
                seconds = time.monotonic() - began
            yield Run("idle", "chain", _IDLE, 0, 0, seconds, idle.share, found.memory, 0)


if __name__ == "__main__":
    sys.exit(main())
