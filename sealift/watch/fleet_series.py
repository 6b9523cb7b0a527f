"""What status found, as series that a site's Prometheus reads from the host that it runs on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sealift.errors import SealiftError
from sealift.host_paths import PUBLISHED, ROOT
from sealift.site.inventory import Host
from sealift.ssh import on_all

# $1: the file, $2: a folder of root's own on its file system. Whoever reads the file is no root. An older one
# is there until the new one is whole. A container writes to the file's folder, where any name may become a
# link at any time: so root makes the new one elsewhere, and a rename follows none.
PUT = """\
set -eu
[ -d "${1%/*}" ] || { echo "${1%/*} is missing" >&2; exit 3; }
new=$(mktemp "$2/.published.XXXXXX"); trap 'rm -f "$new"' EXIT
cat >"$new"; chmod 644 "$new"; sync "$new"; mv -T "$new" "$1"
"""
# By series: what it tells. Source of the form: Prometheus' text format, version 0.0.4.
_HELP = {
    "sealift_fleet_answers": "Whether a host answered status.",
    "sealift_fleet_differences": "In how many points a host is not what its inventory wants.",
    "sealift_fleet_generation_info": "The generation and the release that a host runs.",
    "sealift_fleet_drained": "Whether front doors send a host nothing.",
    "sealift_fleet_damaged_blobs": "How many blobs of a host store are damaged; of those that were hashed.",
    "sealift_fleet_certificate_expiry_timestamp_seconds": "When a certificate ends that no gateway shows.",
    "sealift_fleet_key_expiry_timestamp_seconds": "When the keys of a client end.",
    "sealift_fleet_checked_timestamp_seconds": "When status asked.",
}


@dataclass(frozen=True)
class Found:
    """What status found of a host.

    + differences: None where it did not answer
    """

    host: str
    differences: int | None
    generation: str
    release: str
    drained: bool


def fleet_series(
    hosts: Sequence[Found], expiries: Mapping[str, date], certificates: Mapping[str, datetime], now: int
) -> str:
    """A file in Prometheus' text format.

    + expiries: by client, the last day on which its keys hold
    + certificates: by a short name, when it ends
    + now: seconds since 1970, when the hosts were asked
    """
    return _text(_samples(hosts, expiries, certificates, now))


def blob_series(damaged: Mapping[str, int]) -> str:
    """A file in the same format.

    + damaged: how many blobs of a host are, by host; of those whose blobs were hashed
    """
    return _text(("sealift_fleet_damaged_blobs", {"of": host}, number) for host, number in damaged.items())


def _text(samples: Iterable[tuple[str, dict[str, str], int]]) -> str:
    lines: dict[str, list[str]] = {name: [] for name in _HELP}
    for name, labels, value in samples:
        written = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines[name].append(f"{name}{{{written}}} {value}" if written else f"{name} {value}")
    return "".join(
        f"# HELP {name} {_HELP[name]}\n# TYPE {name} gauge\n" + "".join(f"{line}\n" for line in found)
        for name, found in lines.items()
        if found
    )


def _samples(
    hosts: Sequence[Found], expiries: Mapping[str, date], certificates: Mapping[str, datetime], now: int
) -> Iterator[tuple[str, dict[str, str], int]]:
    for host in hosts:
        of = {"of": host.host}
        yield "sealift_fleet_answers", of, int(host.differences is not None)
        yield "sealift_fleet_drained", of, int(host.drained)
        if host.differences is not None:
            yield "sealift_fleet_differences", of, host.differences
            info = {**of, "generation": host.generation, "release": host.release}
            yield "sealift_fleet_generation_info", info, 1
    for name, ends in sorted(certificates.items()):
        labels = {"certificate": name}
        yield "sealift_fleet_certificate_expiry_timestamp_seconds", labels, int(ends.timestamp())
    for client, last in sorted(expiries.items()):
        end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
        yield "sealift_fleet_key_expiry_timestamp_seconds", {"client": client}, int(end.timestamp())
    yield "sealift_fleet_checked_timestamp_seconds", {}, now


def _escaped(text: str) -> str:
    return re.sub(r'([\\"])', r"\\\1", text).replace("\n", r"\n")


def publish(monitors: Sequence[Host], series: str, place: str = PUBLISHED) -> None:
    """Write the series onto every host that runs Prometheus, in one step each.

    + place: the file there, in the folder of figures

    Raises SealiftError with the reason of each host where that failed; the others have it.
    """
    by_name = {host.name: host for host in monitors}
    gathered = on_all(
        list(by_name), lambda name: by_name[name].ssh.run_with(PUT, series.encode(), place, ROOT)
    )
    if gathered.errors:
        lines = (
            f"{error} Was a release with the image node applied there?" for error in gathered.errors.values()
        )
        raise SealiftError("\n".join(lines))
