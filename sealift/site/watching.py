"""What hosts lack of the site to watch, or to be watched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from sealift.errors import SealiftError
from sealift.host.settings import GatewaySettings
from sealift.release.types import Release
from sealift.services import ALERTMANAGER, MONITOR_NAME, PROBE, PROMETHEUS
from sealift.site.certificate_check import certificate_problems
from sealift.site.certificate_files import read_certificates
from sealift.site.certificates import CLIENT
from sealift.site.inventory import Host
from sealift.site.receivers import open_receivers
from sealift.site.secrets import open_secrets


def watch_problems(host: Host, release: Release, now: datetime) -> Iterator[str]:
    """What is missing, or wrong with what is there, a line each.

    + release: that the host is to run
    """
    services = release.services_for(host.groups)
    if PROMETHEUS in services:
        yield from _certificate_problems(host, now)
    if ALERTMANAGER in services:
        yield from _receiver_problems(host)
    if PROBE in services and not _has_probe(host, now):
        yield (
            f"{host.settings.secrets}: has no client {PROBE.name} whose key holds, expected one, as "
            f"which each host is asked. Make it: sealift clients add SITE {PROBE.name}"
        )


def monitor_files(host: Host) -> GatewaySettings | None:
    """Certificate, key and CA of a host that watches, for the checks; None where they are not set."""
    monitoring = host.settings.monitoring
    if not (monitoring.certificate and monitoring.key):
        return None
    return GatewaySettings(
        certificate=monitoring.certificate, key=monitoring.key, ca=host.settings.gateway.ca
    )


def certificate_ends(monitors: Sequence[Host]) -> Mapping[str, datetime]:
    """When the certificates end that no gateway shows: `monitor`, by which figures are read, and the `ca`.

    + monitors: the hosts that watch; of several certificates, the one that ends first counts

    While one CA takes the place of another both stand in a file, and the newer one's end counts.
    """
    ends: dict[str, list[datetime]] = {"monitor": [], "ca": []}
    for files in filter(None, map(monitor_files, monitors)):
        ends["monitor"] += [each.not_valid_after_utc for each in read_certificates(files.certificate)]
        if cas := read_certificates(files.ca):
            ends["ca"].append(max(each.not_valid_after_utc for each in cas))
    return {name: min(found) for name, found in ends.items() if found}


def _certificate_problems(host: Host, now: datetime) -> Iterator[str]:
    files = monitor_files(host)
    if files is None:
        yield (
            "watches the others without a certificate for it, expected monitoring.certificate and "
            f"monitoring.key. Set both, and make it: sealift ca issue SITE {MONITOR_NAME}"
        )
        return
    yield from certificate_problems(MONITOR_NAME, files, now, CLIENT)


def _receiver_problems(host: Host) -> Iterator[str]:
    try:
        open_receivers(host.settings.monitoring.receivers)
    except SealiftError as error:
        yield from str(error).splitlines()


def _has_probe(host: Host, now: datetime) -> bool:
    try:
        secrets = open_secrets(host.settings.secrets, host.settings.identity)
    except SealiftError:
        return True  # told already
    return PROBE.name in secrets.in_force(now.date())
