"""clients: who has a key of the gateways, on the control node and on every host at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import typer

from sealift.cli.console import complain, say, working
from sealift.cli.options import AsJson, InventoryName, Limit, print_json
from sealift.fleet.push import Pushed, no_rollout, push_keys
from sealift.site.clients import add_client, client_names, revoke_clients
from sealift.site.inventory import Inventory, load_inventory

_clients = typer.Typer(no_args_is_help=True, help="Show, add and revoke clients of the gateways.")
_NewClient = Annotated[str, typer.Argument(help="Small letters, digits and dashes.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    app.add_typer(_clients, name="clients")


@_clients.command("list")
def list_(name: InventoryName, limit: Limit = None, as_json: AsJson = False) -> None:
    """List who has a key. No key is shown.

    Example: sealift clients list prod
    """
    names = client_names(_load(name, limit))
    if as_json:
        print_json(names)
    else:
        say("\n".join(names))


@_clients.command()
def add(name: InventoryName, client: _NewClient, limit: Limit = None, as_json: AsJson = False) -> None:
    """Give a client a key, show it once, and have every gateway know it.

    Exit code 0: every gateway lets the client in. 1: a host has not confirmed it.

    Example: sealift clients add prod chatbot
    """
    site = _load(name, limit)
    with no_rollout(site):
        key = add_client(site, client)
        _show_key(client, key, as_json)
        _tell(site, _push(site), as_json, {"client": client, "key": key})


@_clients.command()
def revoke(
    name: InventoryName,
    clients: Annotated[list[str], typer.Argument(metavar="CLIENT...", help="Who is to have no key.")],
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Take clients' keys away, and have every gateway refuse them.

    Requests in flight go on to their end.

    Exit code 0: every gateway refuses them. 1: a host has not confirmed it.

    Example: sealift clients revoke prod chatbot
    """
    site = _load(name, limit)
    with no_rollout(site):
        revoke_clients(site, clients)
        if not as_json:
            say(f"{', '.join(clients)}: revoked")
        _tell(site, _push(site), as_json, {"revoked": list(clients)})


def _show_key(client: str, key: str, as_json: bool) -> None:
    """Show a key before anything that may last, unless it is part of the JSON."""
    if not as_json:
        say(f"{client}: {key}\nThis key is shown once.")


def _push(site: Inventory) -> tuple[Pushed, ...]:
    with working("telling the gateways"):
        return push_keys(site)


def _tell(site: Inventory, pushed: Sequence[Pushed], as_json: bool, changed: dict[str, object]) -> None:
    if as_json:
        print_json({**changed, "hosts": [dataclasses.asdict(each) for each in pushed]})
    else:
        for each in pushed:
            if each.confirmed:
                say(f"{each.host}: confirmed after {each.seconds:.1f} s")
            elif each.ok:
                say(f"{each.host}: has no release yet, and gets the keys with it")
            else:
                complain(f"{each.host}: {each.problem}")
    if not all(each.ok for each in pushed):
        complain(f"Not every gateway goes by this. Once the hosts answer, run: sealift apply {site.name}")
        raise typer.Exit(1)


def _load(name: str, limit: list[str] | None) -> Inventory:
    return load_inventory(name).limited(limit)
