"""Somebody else installs packages: pyinfra itself waits on this machine, for a lock of the test's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealift.facts.apt import HeldLock, PackageLock
from sealift.fleet.pyinfra_log import PyinfraLog
from sealift.site.reading import PYINFRA

NAME = Path(sys.executable).name
HOLD = """\
import fcntl, sys, time
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""
DEPLOY = """
from pyinfra.api import operation
from sealift.operations.apt import locks_free

@operation()
def install():
    yield locks_free({wait_s}, ("{folder}/absent", "{folder}/free", "{folder}/lock"))
    yield "echo installed >{folder}/installed"

install(name="Install")
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds `lock`."""
    (tmp_path / "free").touch()
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"held\n"
        yield child
        child.kill()


def deploy(folder: Path, wait_s: float, on_word: Callable[[], None]) -> tuple[int, list[str], PyinfraLog]:
    """Exit code, what was told at once, and the log.

    + on_word: called when something is told
    """
    (folder / "deploy.py").write_text(DEPLOY.format(folder=folder, wait_s=wait_s))
    command = [*PYINFRA, "@local", "deploy.py", "-y", "--json"]
    log, told = PyinfraLog(), []
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if said := log.read(line):
                told.append(said)
                on_word()
    return child.returncode, told, log


def test_a_held_lock_is_waited_for_and_that_is_told(holder: subprocess.Popen[bytes], tmp_path: Path) -> None:
    code, told, log = deploy(tmp_path, 60, on_word=holder.kill)
    process = f"process {holder.pid} ({NAME}), which holds {tmp_path}/lock"
    assert told[0] == f"@local: waits for {process}, for 60 s at most"
    assert told[1].startswith("@local: goes on after ")
    assert (code, log.failures, (tmp_path / "installed").exists()) == (0, (), True)


def test_a_lock_that_is_not_given_up_fails_the_host_by_name(
    holder: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    code, _, log = deploy(tmp_path, 0.5, on_word=lambda: None)
    assert code == 1 and not (tmp_path / "installed").exists()
    (failure,) = log.failures
    assert f"{tmp_path}/lock is held by process {holder.pid} ({NAME}) for more than" in failure
    assert "expected no other apt or dpkg" in failure


def test_the_fact_names_who_holds_a_lock(holder: subprocess.Popen[bytes], tmp_path: Path) -> None:
    def ask(*names: str) -> list[str]:
        command = PackageLock().command(tuple(str(tmp_path / name) for name in names))
        ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
        return ran.stdout.splitlines()

    assert ask("absent", "free") == []
    assert PackageLock().process(ask("free", "lock")) == HeldLock(str(tmp_path / "lock"), holder.pid, NAME)
