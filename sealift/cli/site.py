"""init and check: a site's own inventory."""

from __future__ import annotations

import dataclasses
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from sealift.cli.console import complain, say
from sealift.cli.options import AsJson, InventoryName, print_json
from sealift.files import read_limited
from sealift.site.check import check_site
from sealift.site.init import Made, NewHost, NewSite, make_site
from sealift.site.reading import sites_folder

_KNOWN_HOSTS_LIMIT = 16 << 20  # bytes


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    app.command("init")(init)
    app.command("check")(check)


def init(
    name: Annotated[str, typer.Argument(help="Of the inventory, such as prod.")],
    host: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=ADDRESS]", help="A host; repeat for more.")
    ] = None,
    gpu: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=ADDRESS]", help="A host with an NVIDIA GPU.")
    ] = None,
    monitor: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Which of them watches all; repeat for more.")
    ] = None,
    release: Annotated[str, typer.Option(help="What is to run, NAME:VERSION.")] = "assistant:2026.11.0",
    depot: Annotated[Path, typer.Option(help="The site's depot.")] = Path("/srv/sealift/depot"),
    user: Annotated[str, typer.Option(help="Who logs in. Any but root needs sudo.")] = "root",
    jump: Annotated[str, typer.Option(help="Jump host that all hosts are reached through.")] = "",
    ssh_key: Annotated[Path, typer.Option(help="Private key that this machine logs in with.")] = Path(
        "/etc/sealift/id_ed25519"
    ),
    known_hosts: Annotated[
        Path | None, typer.Option(help="The hosts' SSH keys, as known_hosts(5) has them.", dir_okay=False)
    ] = None,
    own_ca: Annotated[
        bool, typer.Option("--own-ca", help="The site has a CA: write requests for it to sign.")
    ] = False,
    takes_from: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="NAME", help="Takes only what passed in this inventory, as staging."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an inventory of your own, with certificates and the first client's key. Nothing is overwritten.

    It lies in /etc/sealift/sites, or where SEALIFT_SITES says, and no release touches it.

    Example: sealift init prod --host llm1=10.0.0.11 --gpu llm2=10.0.0.12 --known-hosts known_hosts
    """
    hosts = [NewHost.parse(text) for text in host or ()]
    hosts += [NewHost.parse(text, gpu=True) for text in gpu or ()]
    keys = read_limited(known_hosts, _KNOWN_HOSTS_LIMIT) if known_hosts else b""
    key = ssh_key.absolute()
    watching, wanted = tuple(monitor or ()), tuple(takes_from or ())
    site = NewSite(
        name, tuple(hosts), release, depot.absolute(), user, jump, key, keys, own_ca, watching, wanted
    )
    made = make_site(site, sites_folder(os.environ))
    if as_json:
        paths = {"folder": str(made.folder), "requests": [str(path) for path in made.requests]}
        print_json({**dataclasses.asdict(made), **paths})
        return
    say(f"{made.folder}: made, for {len(hosts)} hosts")
    say(f"client {made.client}: {made.key}\n  This key is shown once. Give it to the client's owner.")
    say("\n".join(_next(site, made)))


def _next(site: NewSite, made: Made) -> list[str]:
    """What is left to do, a line each."""
    lines = ["Next:"]
    if made.requests:
        lines += [
            f"  Copy the certificate of your CA to {made.folder}/tls/ca.crt.",
            f"  Have it sign {made.folder}/tls/*.csr, as servers' certificates; monitor.csr as a client's.",
            f"  sealift ca take {site.name} FILE...",
        ]
    if not site.known_hosts:
        lines.append(f"  Add the hosts' SSH keys to {made.folder}/known_hosts, read at their consoles.")
    if not site.ssh_key.exists():
        lines.append(f"  Make the key to log in with, {site.ssh_key}, and put its public half on the hosts.")
    if site.takes_from:
        lines.append(f"  Write who may promote and override into {made.folder}/promotion_signers.")
    lines.append(f"  Look at {made.folder}/group_data/all.py: release, memory, networks.")
    return [*lines, f"  sealift check {site.name}", f"  sealift apply {site.name} --dry-run"]


def check(name: InventoryName, as_json: AsJson = False) -> None:
    """Find every mistake in an inventory. No host is touched.

    Settings, missing files and their modes, certificates that do not fit or run out, unknown host keys, a
    release that the depot lacks.

    Exit code 0: nothing is wrong; warnings may be told. 1: something is.

    Example: sealift check prod
    """
    checked = check_site(name, datetime.now(UTC))
    if as_json:
        print_json({**dataclasses.asdict(checked), "ok": not checked.problems})
    else:
        for line in checked.problems:
            complain(line)
        for line in checked.warnings:
            say(f"warning: {line}")
        wrong = f"{len(checked.problems)} mistakes" if checked.problems else "nothing is wrong"
        say(f"{name}: {checked.hosts} hosts, {wrong}, {len(checked.warnings)} warnings")
    if checked.problems:
        raise typer.Exit(1)
