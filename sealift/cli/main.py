"""The `sealift` command: parses, shows progress, prints. What it does lives in the other packages."""

from __future__ import annotations

import errno
import importlib
import signal
import sys

import typer

from sealift.cli.console import complain
from sealift.errors import SealiftError

# By panel of the help, which module has which commands. One that is asked for loads no other module: all
# together take a second.
_PANELS: dict[str, dict[str, tuple[str, ...]]] = {
    "Where there is internet": {
        "lock": ("lock",),
        "build": ("build",),
        "media": ("media",),
    },
    "In the closed network: the control node": {
        "importing": ("import",),
        "install": ("install",),
        "site": ("init", "check"),
        "clients": ("clients",),
        "usage": ("usage",),
        "ca": ("ca",),
        "depot": ("have", "gc", "fsck"),
        "promote": ("promote",),
    },
    "In the closed network: the hosts": {
        "fleet": ("preflight", "ship", "apply"),
        "plan": ("plan",),
        "rollout": ("rollout",),
        "status": ("status",),
        "dashboard": ("dashboard",),
        "rollback": ("rollback",),
        "drain": ("drain", "undrain"),
        "verify": ("verify",),
        "evaluate": ("evaluate",),
        "ask": ("ask",),
        "trial": ("try",),
        "bench": ("bench",),
    },
    "Anywhere": {
        "models": ("models",),
        "inspect": ("inspect",),
        "compare": ("diff",),
        "export": ("export",),
        "schema": ("schema",),
    },
    "On one machine, to try things": {
        "lab": ("lab",),
    },
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
            "hosts.\n\nWhere there is internet: lock a release file, build a bundle, sign it, write it to "
            "media. In the closed network: import it into the depot, apply it once, then roll out each "
            "release in waves. "
            "`make demo` does it all once."
        ),
    )
    app.callback()(lambda: None)  # with it, a single command has to be named as well
    modules = {name: (panel, commands) for panel, part in _PANELS.items() for name, commands in part.items()}
    for module in [name for name, (_, commands) in modules.items() if asked in commands] or modules:
        importlib.import_module(f"sealift.cli.{module}").register(app)
    panels = {command: panel for panel, commands in modules.values() for command in commands}
    for command in app.registered_commands:
        command.rich_help_panel = panels[str(command.name)]
    for group in app.registered_groups:
        group.rich_help_panel = panels[str(group.name)]
    return app


def run() -> None:
    """Run what the command line asks for.

    An error that a user can mend is one message and exit code 1, never a traceback.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        application(*sys.argv[1:2])(prog_name="sealift")
    except SealiftError as error:
        complain(str(error))
        sys.exit(1)
    except OSError as error:
        complain(_in_words(error))
        sys.exit(1)
    except SystemExit as end:
        if end.code in (130, 143):  # Ctrl-C, as Typer reports it, or SIGTERM
            print("interrupted: run the same command again, it goes on where it stopped", file=sys.stderr)
        raise


def _in_words(error: OSError) -> str:
    """What a full disk or a folder without permission means for the user."""
    where = f"{error.filename}: " if error.filename else ""
    remedies = {
        errno.ENOSPC: "the disk is full. Make room, then run the same command again.",
        errno.EACCES: "no permission. Run this as a user who may, such as root.",
        errno.EPERM: "no permission. Run this as a user who may, such as root.",
        errno.EROFS: "is on a disk that is mounted read-only. Mount it for writing, or name another place.",
    }
    said = f"{error.strerror or error}. Mend that and run the same command again."
    return f"{where}{remedies.get(error.errno or 0, said)}"
