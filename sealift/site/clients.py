"""The clients of a site's gateways: who has a key, and changes to that."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sealift.errors import SealiftError
from sealift.files import locked, write_atomically
from sealift.site.inventory import Inventory
from sealift.site.secrets import Client, open_secrets, recipient_of, seal

_CLIENT = TypeAdapter(Client)


def client_names(inventory: Inventory) -> tuple[str, ...]:
    """Who has a key, by name. Raises SealiftError where the secrets cannot be opened."""
    path, identity = _files(inventory)
    return tuple(sorted(open_secrets(path, identity).api_keys))


def add_client(inventory: Inventory, client: str) -> str:
    """Give a client a key; the hosts know it after the next apply.

    Raises SealiftError where it has one, or its name is none.
    """
    try:
        _CLIENT.validate_python(client)
    except ValidationError:
        raise SealiftError(
            f"{client}: is no client's name, expected small letters, digits and dashes."
        ) from None
    key = secrets.token_urlsafe(32)

    def added(keys: Mapping[str, str]) -> Mapping[str, str]:
        if client in keys:
            raise SealiftError(f"{client}: has a key already. Revoke that first, if it is to get another.")
        return {**keys, client: key}

    _change(inventory, added)
    return key


def revoke_clients(inventory: Inventory, clients: Sequence[str]) -> None:
    """Take clients' keys away; the hosts refuse them after the next apply.

    Raises SealiftError where one has none, or nobody would be left.
    """

    def revoked(keys: Mapping[str, str]) -> Mapping[str, str]:
        unknown = [client for client in clients if client not in keys]
        if unknown:
            raise SealiftError(f"{', '.join(unknown)}: has no key here. Clients: {', '.join(sorted(keys))}.")
        left = {client: key for client, key in keys.items() if client not in clients}
        if not left:
            raise SealiftError("nobody would have a key, expected one client at least. Add one first.")
        return left

    _change(inventory, revoked)


def _change(inventory: Inventory, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
    path, identity = _files(inventory)
    with locked(path.parent, lambda: None):
        keys = {name: key.get_secret_value() for name, key in open_secrets(path, identity).api_keys.items()}
        write_atomically(path, seal(change(keys), recipient_of(identity)), 0o600)


def _files(inventory: Inventory) -> tuple[Path, Path]:
    """The secrets and the identity of all hosts. Raises SealiftError where they have several."""
    found = {(host.settings.secrets, host.settings.identity) for host in inventory.hosts}
    if len(found) > 1:
        listed = ", ".join(sorted(str(path) for path, _ in found))
        raise SealiftError(
            f"{inventory.path}: has several files of secrets ({listed}), expected one. Use --limit."
        )
    return found.pop()
