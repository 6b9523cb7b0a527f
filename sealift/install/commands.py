"""Commands of the installation, and their errors in their own words."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from sealift.errors import SealiftError

_LINES = 12  # of what a failed command said


def run(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its exit code.

    + environment: what is set beside the process's own
    """
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )


def require(done: subprocess.CompletedProcess[str], what: str, expected: str, remedy: str) -> None:
    """Raise SealiftError with the last lines of what a command said, where it failed.

    + what: the command's name, for people
    + expected: what it was to do
    """
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        told = "\n".join(f"  {line}" for line in said[-_LINES:])
        raise SealiftError(f"{what}: exited {done.returncode}, expected {expected}:\n{told}\n{remedy}")
