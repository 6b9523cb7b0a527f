"""`sealift lab`: closed hosts on this machine."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Annotated

import typer
from rich.table import Table

from sealift.cache import cache_folder
from sealift.cli.console import show, working
from sealift.cli.options import AsJson, print_json
from sealift.lab import lifecycle
from sealift.lab.layout import MOST_HOSTS, Lab, open_lab
from sealift.lab.machine import require_root
from sealift.lab.network import entering
from sealift.lab.root import DebianSuite

_app = typer.Typer(
    no_args_is_help=True,
    help="Closed Debian hosts on this machine: systemd and sshd in a network namespace without a way out. "
    "The state is in .lab, or where SEALIFT_LAB says.",
)


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    app.add_typer(_app, name="lab")


_COMMAND = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}


def _lab() -> Lab:
    return open_lab(os.environ)


@_app.command()
def up(
    hosts: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_HOSTS, help="How many hosts.", show_default="3, or as many as there are"
        ),
    ] = None,
    with_control: Annotated[
        bool | None,
        typer.Option(
            "--control/--no-control",
            help="A control node beside them, which starts from the media in the lab's folder media.",
            show_default="with one, or as it was",
        ),
    ] = None,
    suite: Annotated[
        DebianSuite | None,
        typer.Option(help="Debian's suite.", show_default="trixie, or as it was"),
    ] = None,
) -> None:
    """Bring the hosts up. What is up stays as it is."""
    lab, started = _lab(), time.monotonic()
    roots = cache_folder(os.environ) / "roots"
    with working("lab up") as work:
        booted = lifecycle.up(
            lab, hosts, with_control, suite, roots, lambda what, _done, _total: work.now(what)
        )
    changed = f"booted {', '.join(booted)}" if booted else "no change"
    print(f"lab {lab.state}: {changed} ({time.monotonic() - started:.1f} s)")


@_app.command()
def down(
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the hosts' disks, the keys and the depot.")
    ] = False,
) -> None:
    """End the hosts and remove everything that the lab made."""
    lab = _lab()
    with working("lab down") as work:
        lifecycle.down(lab, keep, lambda what, _done, _total: work.now(what))
    print(f"lab {lab.state}: {'down, state kept' if keep else 'removed'}")


@_app.command()
def status(as_json: AsJson = False) -> None:
    """Show the hosts."""
    found = lifecycle.status(_lab())
    if as_json:
        print_json([dataclasses.asdict(host) for host in found])
        return
    table = Table("host", "address", "up", "systemd", "memory")
    for host in found:
        up_word = "yes" if host.up else "no"
        table.add_row(host.name, host.address, up_word, host.state, f"{host.memory_mib} MiB")
    show(table)


@_app.command(context_settings=_COMMAND)
def ssh(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="h1, h2, ..., or control.")],
) -> None:
    """Open a shell on a host, or run the command given after its name."""
    lab = _lab()
    names = [known.name for known in lifecycle.require_lab(lab).all]
    if host not in names:
        raise typer.BadParameter(f"{host}: no host of this lab, expected one of {', '.join(names)}")
    os.execvp("ssh", ["ssh", "-F", str(lab.ssh_config), host, *context.args])  # noqa: S606 - no shell is meant


@_app.command("exec", context_settings=_COMMAND)
def exec_(context: typer.Context) -> None:
    """Run a command of this machine inside the closed network, where a control node stands."""
    require_root()
    lab = _lab()
    lifecycle.require_lab(lab)
    command = entering(lab, context.args or ["bash"])
    os.execvp(command[0], command)  # noqa: S606 - no shell is meant
