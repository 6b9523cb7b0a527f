"""What a run is about: a host's settings, and the release that the site's depot has for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pyinfra import host as current_host
from pyinfra.api import Host
from pyinfra.api.exceptions import DeployError

from sealift.depot.store import Depot, StoredRelease
from sealift.errors import SealiftError
from sealift.host import settings
from sealift.host.settings import SiteSettings
from sealift.release.locked import Lock


@dataclass(frozen=True)
class Site:
    """A host's settings, its release as the depot has it, and its inventory groups."""

    settings: SiteSettings
    stored: StoredRelease
    lock: Lock
    groups: frozenset[str]


def site() -> Site:
    """The site as the host of the current task has it. Raises DeployError with every mistake."""
    try:
        return site_of(current_host)
    except SealiftError as error:
        raise DeployError(str(error)) from None


def site_of(host: Host) -> Site:
    """The site as a host has it, parsed once per host. Raises SealiftError with every mistake."""
    if host.name not in _SITES:
        parsed = settings.parse(host.name, host.data.dict())
        stored = _resolve(parsed.depot, parsed.release)
        _SITES[host.name] = Site(parsed, stored, stored.lock, frozenset(host.groups))
    return _SITES[host.name]


_SITES: dict[str, Site] = {}


@cache
def _resolve(depot: Path, release: str) -> StoredRelease:
    """Look a release up once, however many hosts run it."""
    return Depot(depot).resolve(release)
