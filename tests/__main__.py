"""What make test runs end to end: `python -m tests`.

The two halves run side by side: tests/lab waits for hosts most of the time, tests/peers computes. What the
second says is shown once the first has ended.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import IO


def main(arguments: list[str]) -> int:
    """Run both; 0 where both passed.

    + arguments: for pytest, in both
    """
    with tempfile.TemporaryFile() as said:
        peers = _start("tests/peers", arguments, said)
        lab = _start("tests/lab", arguments, None)
        codes = [_ended(child) for child in (lab, peers)]
        said.seek(0)
        for line in said:
            sys.stdout.buffer.write(line)
    return max(map(abs, codes))


def _start(folder: str, arguments: list[str], output: IO[bytes] | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", "-m", "not exhaustive", *arguments, folder]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT if output else None)


def _ended(child: subprocess.Popen[bytes]) -> int:
    """A child's exit code. After Ctrl-C, which reaches it from the terminal, it first takes its labs down."""
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
