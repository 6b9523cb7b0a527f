"""The `sealift` command: parses, shows progress, prints. What it does lives in the other packages."""

from __future__ import annotations

import signal
import sys

import typer
from rich.console import Console

from sealift.cli import (
    compare,
    depot,
    export,
    fleet,
    install,
    lab,
    lock,
    media,
    models,
    release,
    schema,
    verify,
)
from sealift.errors import SealiftError, printable

app = typer.Typer(
    name="sealift",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=(
        "Carry a sealed release of LLM infrastructure across an air gap and roll it out over closed hosts."
        "\n\nWhere there is internet: lock a release file, build a bundle, sign it. In the closed network:"
        " import it into the depot, apply it to a fleet, verify the fleet. `make demo` does it all once."
    ),
)
lock.register(app)
release.register(app)
compare.register(app)
depot.register(app)
install.register(app)
models.register(app)
schema.register(app)
fleet.register(app)
verify.register(app)
app.add_typer(media.app, name="media")
app.add_typer(export.app, name="export")
app.add_typer(lab.app, name="lab")


def main() -> None:
    """Entry point: an error that a user can mend is one message and exit code 1, never a traceback."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        app()
    except SealiftError as error:
        _complain(str(error))
        sys.exit(1)
    except OSError as error:  # a full disk, a folder without permission
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}. Mend that and run the same command again.")
        sys.exit(1)
    except SystemExit as end:
        if end.code == 130:  # Ctrl-C, as Typer reports it
            print("interrupted: run the same command again, it goes on where it stopped", file=sys.stderr)
        raise


def _complain(message: str) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(printable(message), style="red", markup=False)
