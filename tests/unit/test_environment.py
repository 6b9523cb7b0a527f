"""The Python environment of a deployment: which wheels make another one, and what a failed one leaves."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sealift.install.activate import activate
from sealift.install.environment import deployment_folder, make_environment
from tests.unit.control_lock import blob, lock, never, parsed


def test_another_wheel_makes_another_environment() -> None:
    other = lock(wheels=[{"file": "pip-26.4-py3-none-any.whl", "blob": blob(5)}])
    assert parsed(lock()).python == parsed(lock()).python != parsed(other).python


def test_other_wheels_that_cannot_be_had_leave_what_is_in_force_as_it_is(tmp_path: Path) -> None:
    """The same code: what was in force was once removed first, for it was in the same folder."""
    now = parsed(lock())
    new = parsed(lock(wheels=[{"file": "pip-26.4-py3-none-any.whl", "blob": blob(5)}]))
    deployment, command = deployment_folder(tmp_path, now), tmp_path / "sealift"
    (deployment / ".venv/bin").mkdir(parents=True)
    (deployment / ".venv/bin/sealift").write_text("works")
    (deployment / ".venv/installed").write_text(now.python)
    activate(deployment, tmp_path, command)
    assert not make_environment(now, never, deployment)
    with pytest.raises(AssertionError, match=r"pip-26\.4-py3-none-any\.whl.* was asked for"):
        make_environment(new, never, deployment_folder(tmp_path, new))
    assert command.read_text() == "works"


def test_what_makes_an_environment_ends_with_a_killed_installation(tmp_path: Path) -> None:
    """Else it would write into the environment that the next run makes. Python is a stand-in here."""
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin/python3"
    python.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/started\nexec sleep 60\n")
    python.chmod(0o755)
    child = os.fork()
    if child == 0:
        sys.base_prefix = str(tmp_path)
        make_environment(parsed(lock()), never, tmp_path / "deployment")
        os._exit(1)
    until(lambda: (tmp_path / "started").exists() and (tmp_path / "started").read_text().endswith("\n"))
    started = int((tmp_path / "started").read_text())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        until(lambda: not is_running(started))
    finally:
        with suppress(ProcessLookupError):
            os.kill(started, signal.SIGKILL)


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(process: int) -> bool:
    """Not ended, and not waited for by whoever takes in orphans."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
