"""A wave: pyinfra as a child process, judged by its exit code and by what it reports.

Once, but for a wave of many hosts: what it does between two answers grows with them faster than they do.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from sealift.errors import SealiftError
from sealift.fleet.pyinfra_log import PyinfraLog
from sealift.processes import WITH_US
from sealift.site.inventory import Host, Inventory, complaint
from sealift.site.reading import PYINFRA

_DEPLOY = Path("deploy.py")
MOST = 200  # hosts of one process
_PATIENCE_S = 30  # for pyinfra to close its connections when it is interrupted


@dataclass(frozen=True)
class HostResult:
    """What a wave did to a host: names of operations that changed something or failed, and how many did not.

    Operations that were not reached count as failed.
    """

    changed: tuple[str, ...]
    failed: tuple[str, ...]
    unchanged: int
    reached: bool = True

    @property
    def ok(self) -> bool:
        """Whether everything that should be there now is."""
        return self.reached and not self.failed


@dataclass(frozen=True)
class WaveResult:
    """What a wave did, by host.

    + exit_code: pyinfra's
    + log: what it said
    """

    hosts: dict[str, HostResult]
    exit_code: int
    log: Path

    @property
    def ok(self) -> bool:
        """Whether it succeeded everywhere."""
        return self.exit_code == 0 and all(host.ok for host in self.hosts.values())


@contextmanager
def one_rollout(depot: Path) -> Iterator[None]:
    """Hold the site's rollout lock.

    Raises SealiftError where another rollout holds it.
    """
    path = depot / "rollout.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode(errors="replace").strip()
            raise SealiftError(
                f"{path}: another rollout is running (process {owner}), expected one at a time. Wait for it."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def is_running(depot: Path) -> bool:
    """Whether somebody holds the site's rollout lock."""
    try:
        with (depot / "rollout.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@dataclass(frozen=True)
class Watch:
    """Who is told of a wave while it lasts.

    + at: takes each operation as it starts
    + tell: takes what the operator should know at once, such as that a host waits for something
    """

    at: Callable[[str], None]
    tell: Callable[[str], None]


def apply_wave(inventory: Inventory, log: Path, watch: Watch) -> WaveResult:
    """Deploy to the hosts of an inventory, or those it is limited to.

    + log: file for what pyinfra says

    Raises SealiftError where pyinfra gives no report, with why each host failed, or what it says instead.
    """
    parts = shards(inventory.hosts)
    logs = [log, *(log.with_suffix(f".{number}{log.suffix}") for number in range(2, len(parts) + 1))]
    runs = [
        (inventory.limited([host.name for host in hosts]), own)
        for hosts, own in zip(parts, logs, strict=True)
    ]
    hosts: dict[str, HostResult] = {}
    codes, complaints = [], []
    for (shard, _), ran in zip(runs, _ran(runs, watch), strict=True):
        if isinstance(ran, SealiftError):
            complaints.append(str(ran))
        else:
            codes.append(ran[0])
            hosts |= parse_results(shard.names, ran[1]["results"])
    if complaints:
        raise SealiftError("\n".join(complaints))
    return WaveResult({name: hosts[name] for name in inventory.names}, max(codes), log)


def shards(hosts: Sequence[Host]) -> list[Sequence[Host]]:
    """Parts of a wave, of about one size, none of which is too many for one process."""
    count = -(-len(hosts) // MOST)
    bounds = [len(hosts) * number // count for number in range(count + 1)]
    return [hosts[start:end] for start, end in pairwise(bounds)]


def _ran(
    runs: Sequence[tuple[Inventory, Path]], watch: Watch
) -> list[tuple[int, dict[str, Any]] | SealiftError]:
    """What each run gave, or why it gave nothing; as many at once as there are processors."""
    if len(runs) == 1:
        return [_run(*runs[0], watch)]
    children: list[subprocess.Popen[bytes]] = []

    def one(run: tuple[Inventory, Path]) -> tuple[int, dict[str, Any]] | SealiftError:
        try:
            return _run(*run, watch, children.append)
        except SealiftError as error:
            return error

    with ThreadPoolExecutor(min(len(runs), os.cpu_count() or 1)) as pool:
        running = [pool.submit(one, run) for run in runs]
        try:
            return [each.result() for each in running]
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                _end(child, told=isinstance(error, KeyboardInterrupt))
            raise


def parse_results(hosts: Sequence[str], results: dict[str, Any]) -> dict[str, HostResult]:
    """Parse `results` of `pyinfra -y --json` (`build_results_json` in `pyinfra_cli/prints.py`, 3.10).

    + hosts: that were asked for: one that is missing was not reached
    """
    operations = results["operations"]
    lost = set(results["failed_hosts"])

    def of(host: str) -> HostResult:
        changed, failed, unchanged = (
            tuple(operation["name"] for operation in operations if host in operation[kind])
            for kind in ("success", "error", "no_change")
        )
        reached = host not in lost and bool(changed or failed or unchanged)
        return HostResult(changed, failed, len(unchanged), reached)

    return {host: of(host) for host in hosts}


def _run(
    inventory: Inventory, log: Path, watch: Watch, began: Callable[[subprocess.Popen[bytes]], object] = id
) -> tuple[int, dict[str, Any]]:
    """Run pyinfra; give its exit code and its report.

    + began: is told of the process
    """
    if not _DEPLOY.is_file():
        raise SealiftError(f"{_DEPLOY}: not found. Run this in the folder that has it.")
    limits = [part for host in inventory.names for part in ("--limit", host)]
    log.parent.mkdir(parents=True, exist_ok=True)
    said = PyinfraLog()
    with tempfile.TemporaryFile() as stdout, log.open("wb") as kept:
        # ends with this process, so that no rollout goes on that nobody holds the lock of
        child = subprocess.Popen(
            [*WITH_US, *PYINFRA, str(inventory.path), str(_DEPLOY), "--json", "-y", *limits],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )
        began(child)
        try:
            _follow(child, kept, said, watch)
        except KeyboardInterrupt:
            _end(child, told=True)
            raise
        except BaseException:
            _end(child, told=False)
            raise
        stdout.seek(0)
        try:
            return child.wait(), json.load(stdout)
        except ValueError:
            raise _no_report(log, said.failures) from None


def _follow(child: subprocess.Popen[bytes], kept: IO[bytes], said: PyinfraLog, watch: Watch) -> None:
    if child.stderr is None:  # for the type checker: it is a pipe
        raise AssertionError
    at = ""
    for line in child.stderr:
        kept.write(line)
        kept.flush()
        if told := said.read(line.decode(errors="replace")):
            watch.tell(told)
        if said.operation != at:
            at = said.operation
            watch.at(at)


def _end(child: subprocess.Popen[bytes], told: bool) -> None:
    """Let pyinfra close its connections, and end it where it does not.

    + told: Ctrl-C on a terminal reaches the child by itself
    """
    if not told:
        child.terminate()
    try:
        child.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _no_report(log: Path, failures: Sequence[str]) -> SealiftError:
    said = complaint(log.read_bytes())
    if not failures and said == "EOFError":
        failures = ("the connection to a host was cut, expected it to last. See which: sealift status.",)
    if failures:
        return SealiftError("\n".join((*failures, f"What was said is in {log}. Then run the same again.")))
    return SealiftError(f"pyinfra failed: {said}. Read {log}, then run the same again.")
