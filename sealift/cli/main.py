"""The `sealift` command: parses, shows progress, prints. What it does lives in the other packages."""

from __future__ import annotations

import importlib
import signal
import sys

import typer
from rich.console import Console

from sealift.errors import SealiftError, printable

# Which module has which commands. One that is asked for loads no other's: all together take a second.
_COMMANDS = {
    "lock": ("lock",),
    "build": ("build",),
    "inspect": ("inspect",),
    "importing": ("import",),
    "compare": ("diff",),
    "depot": ("have", "gc", "fsck"),
    "install": ("install",),
    "models": ("models",),
    "schema": ("schema",),
    "fleet": ("preflight", "ship", "apply", "status", "ask"),
    "verify": ("verify",),
    "media": ("media",),
    "export": ("export",),
    "lab": ("lab",),
}


def application(asked: str = "") -> typer.Typer:
    """The tool: with the commands of one module, or with all of them where no module has what is asked for.

    + asked: the first argument
    """
    app = typer.Typer(
        name="sealift",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help=(
            "Carry a sealed release of LLM infrastructure across an air gap and roll it out over closed "
            "hosts.\n\nWhere there is internet: lock a release file, build a bundle, sign it. In the closed "
            "network: import it into the depot, apply it to a fleet, verify the fleet. `make demo` does it "
            "all once."
        ),
    )
    app.callback()(lambda: None)  # with it, a single command has to be named as well
    for module in [name for name, commands in _COMMANDS.items() if asked in commands] or _COMMANDS:
        importlib.import_module(f"sealift.cli.{module}").register(app)
    return app


def main() -> None:
    """Entry point: an error that a user can mend is one message and exit code 1, never a traceback."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        application(*sys.argv[1:2])()
    except SealiftError as error:
        _complain(str(error))
        sys.exit(1)
    except OSError as error:  # a full disk, a folder without permission
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}. Mend that and run the same command again.")
        sys.exit(1)
    except SystemExit as end:
        if end.code in (130, 143):  # Ctrl-C, as Typer reports it, or SIGTERM
            print("interrupted: run the same command again, it goes on where it stopped", file=sys.stderr)
        raise


def _complain(message: str) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(printable(message), style="red", markup=False)
