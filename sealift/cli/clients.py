"""clients: who has a key of the gateways, and for what, on the control node and on every host at once."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime
from typing import Annotated

import typer
from rich.table import Table

from sealift.cli.client_budgets import budgets
from sealift.cli.client_options import (
    Body,
    Clear,
    Context,
    Paths,
    Requests,
    Roles,
    Streams,
    TokensPerDay,
    TokensPerMinute,
    TokensPerMonth,
    check_roles,
    named_terms,
    own_terms,
)
from sealift.cli.console import complain, say, show, working
from sealift.cli.options import AsJson, InventoryName, Limit, print_json
from sealift.clients.push import push_keys
from sealift.clients.terms import Term, terms_of
from sealift.errors import SealiftError
from sealift.live.push import no_rollout
from sealift.site.clients import (
    TERMS,
    add_client,
    clients_of,
    end_old_keys,
    revoke_clients,
    rotate_client,
    set_terms,
)
from sealift.site.inventory import Inventory, load_inventory
from sealift.site.secrets import ClientKeys

_clients = typer.Typer(no_args_is_help=True, help="Show, add, change and revoke clients of the gateways.")
_Expires = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Last day of its keys, in UTC, as 2027-01-31."),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    _clients.command()(budgets)
    app.add_typer(_clients, name="clients")


@_clients.command("list")
def list_(name: InventoryName, limit: Limit = None, as_json: AsJson = False) -> None:
    """List who has keys, how many, until when, and for which roles. No key is shown.

    Example: sealift clients list prod
    """
    today = _today()
    found = clients_of(_load(name, limit))
    if as_json:
        print_json([_as_json(client, keys, today) for client, keys in found.items()])
        return
    table = Table("client", "keys", "expires", "roles")
    for client, keys in found.items():
        table.add_row(client, str(len(keys.keys)), _ends(keys, today), ", ".join(keys.roles) or "every role")
    show(table)


@_clients.command("show")
def show_(
    name: InventoryName,
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="Whose terms to show.")],
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Show all that holds for a client, with the site's defaults. No key is shown.

    Example: sealift clients show prod chatbot
    """
    today, site = _today(), _load(name, limit)
    keys = clients_of(site).get(client)
    if keys is None:
        raise SealiftError(f"{client}: has no key here. See sealift clients list.")
    terms = terms_of(site, keys)
    if as_json:
        print_json({**_as_json(client, keys, today), "terms": [dataclasses.asdict(term) for term in terms]})
        return
    table = Table("what", "holds", "says")
    table.add_row("keys", str(len(keys.keys)), "")
    table.add_row("expires", _ends(keys, today) or "never", "")
    for term in terms:
        table.add_row(term.name, _value(term), "the client" if term.own else "the site")
    show(table)


@_clients.command()
def add(
    name: InventoryName,
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="Small letters, digits and dashes.")],
    expires: _Expires = None,
    roles: Roles = None,
    paths: Paths = None,
    requests_per_minute: Requests = None,
    context: Context = None,
    body_mib: Body = None,
    streams: Streams = None,
    tokens_per_minute: TokensPerMinute = None,
    tokens_per_day: TokensPerDay = None,
    tokens_per_month: TokensPerMonth = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Give a client a key, show it once, and have every gateway know it.

    Without --role it may ask for every role; limits that are not named are the site's.

    Exit code 0: every gateway lets the client in. 1: a host has not confirmed it.

    Example: sealift clients add prod chatbot --expires 2027-01-31 --role chat --streams 2
    """
    tokens = tokens_per_minute, tokens_per_day, tokens_per_month
    terms = named_terms(roles, paths, requests_per_minute, context, body_mib, streams, *tokens)
    site = _load(name, limit)
    check_roles(site, client, roles)
    with no_rollout(site):
        key = add_client(site, client, _today(), _day(expires), terms)
        _show_key(client, key, as_json)
        _push(site, as_json, {"client": client, "key": key})


@_clients.command()
def rotate(
    name: InventoryName,
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="Whose key is to change.")],
    end: Annotated[bool, typer.Option("--end", help="End the older key; make no new one.")] = False,
    expires: _Expires = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Give a client a second key, and later, with --end, end the first.

    In between both hold, so that the client's owner changes to the new one without a gap.

    Exit code 0: every gateway goes by it. 1: a host has not confirmed it.

    Example: sealift clients rotate prod chatbot
    """
    if end and expires:
        raise SealiftError("--end makes no key, so it takes no --expires. Leave one of them out.")
    site = _load(name, limit)
    with no_rollout(site):
        if end:
            end_old_keys(site, client)
            if not as_json:
                say(f"{client}: the older key is ended")
            _push(site, as_json, {"client": client})
            return
        key = rotate_client(site, client, _today(), _day(expires))
        _show_key(client, key, as_json)
        _push(site, as_json, {"client": client, "key": key})


@_clients.command("set")
def set_(
    name: InventoryName,
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="Whose roles or limits are to change.")],
    roles: Roles = None,
    paths: Paths = None,
    requests_per_minute: Requests = None,
    context: Context = None,
    body_mib: Body = None,
    streams: Streams = None,
    tokens_per_minute: TokensPerMinute = None,
    tokens_per_day: TokensPerDay = None,
    tokens_per_month: TokensPerMonth = None,
    clear: Clear = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Change what a client may ask for and take, and have every gateway hold it to that.

    What is not named stays as it is. Roles and forms that are named take the place of those before.

    Exit code 0: every gateway goes by it. 1: a host has not confirmed it.

    Example: sealift clients set prod chatbot --role chat --role embed --clear streams
    """
    tokens = tokens_per_minute, tokens_per_day, tokens_per_month
    terms = named_terms(roles, paths, requests_per_minute, context, body_mib, streams, *tokens)
    site = _load(name, limit)
    check_roles(site, client, roles)
    with no_rollout(site):
        set_terms(site, client, terms, [each.replace("-", "_") for each in clear or ()])
        keys = clients_of(site)[client]
        if not as_json:
            say(f"{client}: {own_terms(keys) or 'every role, and the limits of the site'}")
        _push(site, as_json, _as_json(client, keys, _today()))


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
        _push(site, as_json, {"revoked": list(clients)})


def _today() -> date:
    return datetime.now(UTC).date()


def _day(given: datetime | None) -> date | None:
    return given.date() if given else None


def _ends(keys: ClientKeys, today: date) -> str:
    return f"{keys.expires or ''}{'' if keys.holds(today) else ', which is past: no gateway gets them'}"


def _value(term: Term) -> str:
    """What holds, in words; with hosts, where they differ."""
    hosts: dict[str, list[str]] = {}
    for host, value in term.holds.items():
        hosts.setdefault(_words(term, value), []).append(host)
    if len(hosts) == 1:
        return next(iter(hosts))
    return "; ".join(f"{said} on {', '.join(names)}" for said, names in hosts.items())


def _words(term: Term, value: object) -> str:
    if value is None:
        return "any number"
    if isinstance(value, tuple):
        return ", ".join(value) or f"every {term.name.removesuffix('s')}"
    return str(value)


def _as_json(name: str, keys: ClientKeys, today: date) -> dict[str, object]:
    return {
        "client": name,
        "keys": len(keys.keys),
        "expires": keys.expires.isoformat() if keys.expires else None,
        "holds": keys.holds(today),
        **keys.model_dump(mode="json", include=set(TERMS)),
    }


def _show_key(client: str, key: str, as_json: bool) -> None:
    """Show a key before anything that may last, unless it is part of the JSON."""
    if not as_json:
        say(f"{client}: {key}\nThis key is shown once.")


def _push(site: Inventory, as_json: bool, changed: dict[str, object]) -> None:
    """Tell every gateway, and the user what came of it."""
    with working("telling the gateways"):
        pushed = push_keys(site)
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
