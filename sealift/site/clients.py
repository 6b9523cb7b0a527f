"""The clients of a site's gateways: who has keys, and changes to that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sealift import mistakes
from sealift.errors import SealiftError
from sealift.files import locked, write_atomically
from sealift.host.client_limits import ClientLimits
from sealift.release.values import ModelName, Name
from sealift.site.inventory import Inventory
from sealift.site.secrets import MOST_KEYS, Client, ClientKeys, new_key, open_secrets, recipient_of, seal

_CLIENT = TypeAdapter(Client)
_ROLE = TypeAdapter(Name | ModelName)
_SOON = timedelta(days=30)
_Clients = Mapping[str, ClientKeys]
# What a client may ask for and take.
TERMS = ("roles", *ClientLimits.model_fields)


def clients_of(inventory: Inventory) -> Mapping[str, ClientKeys]:
    """Who has keys, in the order of their names. Raises SealiftError where the secrets cannot be opened."""
    path, identity = _files(inventory)
    return dict(sorted(open_secrets(path, identity).api_keys.items()))


def client_warnings(inventory: str, path: Path, clients: _Clients, day: date) -> Iterator[str]:
    """Whose keys have run out or soon will, a line each.

    + inventory: its name, for the message
    + path: of the secrets, for the message
    """
    for name, client in sorted(clients.items()):
        remedy = (
            f"Give it another key and a later end: sealift clients rotate {inventory} {name} --expires DATE."
        )
        if not client.holds(day):
            yield f"{path}: the keys of {name} ran out on {client.expires}. {remedy}"
        elif not client.holds(day + _SOON):
            yield f"{path}: the keys of {name} run out on {client.expires}. {remedy}"


def add_client(
    inventory: Inventory,
    client: str,
    today: date,
    expires: date | None = None,
    terms: Mapping[str, object] | None = None,
) -> str:
    """Give a client a key.

    + expires: the last day on which a gateway is given it
    + terms: its roles and limits, by the names of `TERMS`

    Raises SealiftError where it has one, its name or a term is none, or that day is past.
    """
    try:
        _CLIENT.validate_python(client)
    except ValidationError:
        raise SealiftError(
            f"{client}: is no client's name, expected small letters, digits and dashes."
        ) from None
    fresh = ClientKeys(keys=(new_key(),), expires=_to_come(expires, today))
    added = _changed(fresh, terms or {})

    def change(clients: _Clients) -> _Clients:
        if client in clients:
            raise SealiftError(
                f"{client}: has a key already. Give it another one beside that: "
                f"sealift clients rotate {inventory.name} {client}"
            )
        return {**clients, client: added}

    _change(inventory, change)
    return added.keys[0].get_secret_value()


def rotate_client(inventory: Inventory, client: str, today: date, expires: date | None = None) -> str:
    """Give a client a second key beside the one that it has.

    + expires: the last day on which a gateway is given either; None to leave that as it is

    Raises SealiftError where it has none, has two, or that day is past.
    """
    key = new_key()
    last = _to_come(expires, today)

    def change(clients: _Clients) -> _Clients:
        _require([client], clients)
        old = clients[client]
        if len(old.keys) == MOST_KEYS:
            raise SealiftError(
                f"{client}: has {MOST_KEYS} keys already, expected one. End the older one first: "
                f"sealift clients rotate {inventory.name} {client} --end"
            )
        return {
            **clients,
            client: old.model_copy(update={"keys": (*old.keys, key), "expires": last or old.expires}),
        }

    _change(inventory, change)
    return key.get_secret_value()


def end_old_keys(inventory: Inventory, client: str) -> None:
    """Take all of a client's keys away but the newest.

    Raises SealiftError where it has no other.
    """

    def change(clients: _Clients) -> _Clients:
        _require([client], clients)
        old = clients[client]
        if len(old.keys) == 1:
            raise SealiftError(
                f"{client}: has one key, expected an older one beside it. Make a new one first: "
                f"sealift clients rotate {inventory.name} {client}"
            )
        return {**clients, client: old.model_copy(update={"keys": old.keys[-1:]})}

    _change(inventory, change)


def revoke_clients(inventory: Inventory, clients: Sequence[str]) -> None:
    """Take all keys of clients away.

    Raises SealiftError where one has none, or nobody would be left.
    """

    def revoked(before: _Clients) -> _Clients:
        _require(clients, before)
        left = {name: client for name, client in before.items() if name not in clients}
        if not left:
            raise SealiftError("nobody would have a key, expected one client at least. Add one first.")
        return left

    _change(inventory, revoked)


def set_terms(
    inventory: Inventory, client: str, terms: Mapping[str, object], cleared: Sequence[str] = ()
) -> None:
    """Change what a client may ask for and take; what is not named stays as it is.

    + terms: by the names of `TERMS`
    + cleared: names of those that it is to have no more

    Raises SealiftError where it has no key, or a term is none.
    """
    unknown = [name for name in cleared if name not in TERMS]
    if unknown:
        raise SealiftError(f"{', '.join(unknown)}: is no limit, expected one of {', '.join(TERMS)}.")
    every = {**{name: ClientKeys.model_fields[name].default for name in cleared}, **terms}
    if not every:
        raise SealiftError(f"{client}: nothing was named that is to change. Name a role or a limit.")

    def change(clients: _Clients) -> _Clients:
        _require([client], clients)
        return {**clients, client: _changed(clients[client], every)}

    _change(inventory, change)


def _changed(client: ClientKeys, terms: Mapping[str, object]) -> ClientKeys:
    """The same client on other terms. Raises SealiftError with every mistake."""
    if isinstance(roles := terms.get("roles"), list | tuple):
        terms = {**terms, "roles": _roles(roles)}
    if isinstance(paths := terms.get("paths"), list | tuple):
        terms = {**terms, "paths": tuple(dict.fromkeys(paths))}
    before = {name: getattr(client, name) for name in ClientKeys.model_fields}
    try:
        return ClientKeys.model_validate({**before, **terms})
    except ValidationError as error:
        raise SealiftError("\n".join(f"{line}. Correct it." for line in mistakes.every(error))) from None


def _roles(names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        try:
            _ROLE.validate_python(name)
        except ValidationError:
            raise SealiftError(
                f"{name}: is no name of a role, expected one such as chat, or a model as MODEL:TAG."
            ) from None
    return tuple(sorted(set(names)))


def _require(names: Sequence[str], clients: _Clients) -> None:
    unknown = [name for name in names if name not in clients]
    if unknown:
        raise SealiftError(f"{', '.join(unknown)}: has no key here. Clients: {', '.join(sorted(clients))}.")


def _to_come(expires: date | None, today: date) -> date | None:
    if expires and expires < today:
        raise SealiftError(f"{expires}: is past, expected a day to come. Name a later one.")
    return expires


def _change(inventory: Inventory, change: Callable[[_Clients], _Clients]) -> None:
    path, identity = _files(inventory)
    with locked(path.parent, lambda: None):
        clients = open_secrets(path, identity).api_keys
        write_atomically(path, seal(change(clients), recipient_of(identity)), 0o600)


def _files(inventory: Inventory) -> tuple[Path, Path]:
    """The secrets and the identity of all hosts. Raises SealiftError where they have several."""
    found = {(host.settings.secrets, host.settings.identity) for host in inventory.hosts}
    if len(found) > 1:
        listed = ", ".join(sorted(str(path) for path, _ in found))
        raise SealiftError(
            f"{inventory.path}: has several files of secrets ({listed}), expected one. Use --limit."
        )
    return found.pop()
