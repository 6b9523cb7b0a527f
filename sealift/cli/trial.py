"""try: a smoke test of an inventory's hosts."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from sealift.cli.console import show, working
from sealift.cli.options import AsJson, Exclude, InventoryName, Limit, print_json
from sealift.cli.reaching import start_where_hosts_are
from sealift.errors import SealiftError
from sealift.fleet.survey import Target, targets
from sealift.fleet.trial import Asking, Trial, try_host
from sealift.host.client_limits import APIS
from sealift.site.inventory import load_inventory
from sealift.site.secrets import open_secrets


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("try")(try_command)


def try_command(
    inventory: InventoryName,
    client: Annotated[
        str | None, typer.Option(help="Whose key.", show_default="that of the client that ask takes")
    ] = None,
    limit: Limit = None,
    exclude: Exclude = None,
    as_json: AsJson = False,
) -> None:
    """Try on every host what clients do: a right and a wrong key, and every role that the client may ask for,
    in each form of asking.

    Exit code 0: all is answered as it should be. 1: something is not.

    Example: sealift try prod --client chatbot
    """
    site = load_inventory(inventory).limited(limit, exclude)
    found = targets(site)
    start_where_hosts_are(site)
    asked = [_asking(target, client) for target in found]
    trials: list[Trial] = []
    with working("keys") as work:
        for target, asking in zip(found, asked, strict=True):
            trials += try_host(target.host, asking, work.now)
    if as_json:
        print_json([dataclasses.asdict(trial) for trial in trials])
    else:
        _print(trials)
    problems = [_line(trial) for trial in trials if trial.problem]
    if client and not any(asking.roles for asking in asked):
        problems.append(
            f"{client}: no role was tried, expected one: it may ask for none that these hosts serve. "
            f"See sealift clients show {site.name} {client}"
        )
    if problems:
        raise SealiftError("\n".join(problems))


def _asking(target: Target, client: str | None) -> Asking:
    """A client's key, and what it may ask for of what the host serves, in which forms."""
    host, day = target.host, datetime.now(UTC).date()
    secrets = open_secrets(host.settings.secrets, host.settings.identity)
    name = client or secrets.first_client(day)
    served = target.stored.lock.release.roles_for(host.groups)
    key, roles = secrets.key_of(name, day), tuple(secrets.roles_of(name, served))
    return Asking(key, roles, secrets.api_keys[name].paths or APIS, secrets.first_key(day))


def _print(trials: list[Trial]) -> None:
    table = Table("host", "role", "tried", "result", "seconds")
    for trial in trials:
        result = "failed" if trial.problem else "good"
        table.add_row(trial.host, trial.role or "", trial.call, result, f"{trial.seconds:.1f}")
    show(table)


def _line(trial: Trial) -> str:
    what = f"{trial.role} by {trial.call}" if trial.role else trial.call
    return f"{trial.host}: {what}: {trial.problem}"
