"""What a site keeps beside its inventory for a host, opened in memory."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sealift.errors import SealiftError
from sealift.files import read_limited
from sealift.host.given import SiteFiles
from sealift.host.receivers import NOBODY
from sealift.release.types import Release
from sealift.services import ALERTMANAGER, PROMETHEUS
from sealift.site.inventory import Host
from sealift.site.receivers import open_receivers
from sealift.site.rule_check import RULES_LIMIT
from sealift.site.secrets import open_secrets, read_private

_PEM_LIMIT = 1 << 20  # bytes


def open_site_files(host: Host, release: Release) -> SiteFiles:
    """What the site keeps for a host.

    + release: that it is to run

    Raises SealiftError where it cannot be had.
    """
    settings, services = host.settings, release.services_for(host.groups)
    secrets, monitoring = open_secrets(settings.secrets, settings.identity), settings.monitoring
    watches = PROMETHEUS in services
    return SiteFiles(
        api_keys=secrets.in_force(datetime.now(UTC).date()),
        allowed=secrets.allowed,
        limits=secrets.api_keys,
        certificate=read_limited(settings.gateway.certificate, _PEM_LIMIT),
        key=read_private(settings.gateway.key, _PEM_LIMIT),
        ca=read_limited(settings.gateway.ca, _PEM_LIMIT),
        monitor_certificate=read_limited(_set(host, monitoring.certificate), _PEM_LIMIT) if watches else b"",
        monitor_key=read_private(_set(host, monitoring.key), _PEM_LIMIT) if watches else b"",
        receivers=open_receivers(monitoring.receivers) if ALERTMANAGER in services else NOBODY,
        rules=read_limited(monitoring.rules, RULES_LIMIT) if watches and monitoring.rules else b"",
    )


def _set(host: Host, path: Path | None) -> Path:
    if path is None:
        raise SealiftError(
            f"{host.name}: watches the others without a certificate of its own, expected "
            "monitoring.certificate and monitoring.key in group_data. See docs/watch.md."
        )
    return path
