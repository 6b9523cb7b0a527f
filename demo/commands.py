"""Child processes of the demo: their output in a file, their end with ours, their failure explained."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from sealift.errors import SealiftError
from sealift.processes import CONTAINED
from sealift.processes import WITH_US as WITH_US  # for demo.ollama_store

_TAIL = 15  # lines


def run(
    arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, remedy: str = ""
) -> None:
    """Run a command to its end, as root.

    + log: file that takes what it prints
    + environment: instead of this process's
    + remedy: what the user can do where it fails

    Raises SealiftError with the last lines it printed.
    """
    with log.open("wb") as output:
        try:
            result = subprocess.run(
                (*CONTAINED, *arguments),
                check=False,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        except FileNotFoundError:
            raise SealiftError("setpriv: not found, expected util-linux. Install it.") from None
    if result.returncode:
        raise SealiftError(
            f"{arguments[0]}: exited {result.returncode}, expected 0. {remedy}\n{tail(log)}".strip()
        )


def tail(log: Path) -> str:
    """The last lines of a file, for an error."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:])
