"""The command `sealift`, and `python -m sealift`: ready for Ctrl-C before anything else is loaded."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Entry point. Loading the tool takes a moment, in which Ctrl-C is no traceback either."""
    signal.signal(signal.SIGINT, _stopped)
    from sealift.cli.main import run

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _stopped(*_: object) -> None:
    os.write(2, b"interrupted: nothing was begun\n")
    os._exit(130)


if __name__ == "__main__":
    main()
