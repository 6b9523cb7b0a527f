"""What gateways and front doors say of their clients, on all hosts at once: keys, roles, limits and queue.

The settings about clients come along as the inventory has them by now; nothing else of what hosts are to be
does.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.host.client_inputs import clients_values
from sealift.host.generation import clients_files
from sealift.host.given import SiteFiles
from sealift.host.settings import SiteSettings
from sealift.host.wanted import TEMPLATES, applied_to
from sealift.live.push import News, Pushed, push
from sealift.services import KEYS
from sealift.site.inventory import Host, Inventory
from sealift.site.secrets import open_secrets

_FREE = ", where clients are not held to their roles and limits"


def push_keys(inventory: Inventory) -> tuple[Pushed, ...]:
    """Bring what is said of clients to every host at once. The locks of the depots are held already.

    Raises SealiftError where the site's secrets cannot be opened.
    """
    return push(inventory, _news)


def _news(host: Host) -> News:
    secrets = open_secrets(host.settings.secrets, host.settings.identity)
    keys = secrets.in_force(datetime.now(UTC).date())
    values = clients_values(settings_of(host), SiteFiles(keys, b"", b"", secrets.allowed, secrets.api_keys))
    files = clients_files(values, TEMPLATES)
    without = {path: "" if path.endswith(f"/{KEYS}") else _FREE for path in files}
    return News("keys", files, without if secrets.restricts else {p: w for p, w in without.items() if not w})


def settings_of(host: Host) -> SiteSettings:
    """The settings in force on a host, as an `apply` would make them.

    Without its release in the depot they are those of the inventory: a key must go all the same.
    """
    try:
        lock = Depot(host.settings.depot).resolve(host.settings.release).lock
    except SealiftError:
        return host.settings
    return applied_to(host.settings, lock, host.groups)
