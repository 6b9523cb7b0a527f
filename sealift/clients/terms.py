"""All that holds for a client, as every host has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sealift.clients.push import settings_of
from sealift.host.client_limits import share_of
from sealift.site.inventory import Inventory
from sealift.site.secrets import ClientKeys


@dataclass(frozen=True)
class Term:
    """One thing that a client is held to.

    + own: whether the client's secrets say it, and not the site
    + holds: by host
    """

    name: str
    own: bool
    holds: Mapping[str, object]


def terms_of(inventory: Inventory, client: ClientKeys) -> tuple[Term, ...]:
    """What a client may ask for and take of each host, its own limits and those of the site.

    No roles are every role.
    """
    shares = {host.name: asdict(share_of(client, settings_of(host))) for host in inventory.hosts}
    every = {host: {"roles": client.roles, **share} for host, share in shares.items()}
    return tuple(
        Term(name, bool(getattr(client, name, None)), {host: of[name] for host, of in every.items()})
        for name in next(iter(every.values()))
    )
