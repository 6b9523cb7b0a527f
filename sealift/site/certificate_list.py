"""A site's CA and all its certificates, as a list to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from sealift.errors import one_line
from sealift.site.authority import has_open_key, key_of, key_problems
from sealift.site.certificate_check import certificate_problems, certificate_warnings
from sealift.site.certificate_files import (
    dns_names,
    fits_key,
    ip_addresses,
    names_host,
    read_certificates,
)
from sealift.site.inventory import Inventory
from sealift.site.places import Place, all_places

CA = "CA"


@dataclass(frozen=True)
class Listed:
    """A certificate; where there is none yet, what would stand in it is empty.

    + name: of its host, or the first that it is for, or `CA`
    + names: for a CA, its subject
    + serial, fingerprint: hexadecimal digits; the fingerprint is SHA-256
    + expires: ISO 8601, UTC
    + fits_key: None for a CA whose key is kept elsewhere, or encrypted
    + fits_host: whether it has the names that clients demand; None for a CA
    """

    name: str
    path: str
    names: tuple[str, ...] = ()
    serial: str = ""
    fingerprint: str = ""
    issuer: str = ""
    expires: str = ""
    days_left: int | None = None
    fits_key: bool | None = None
    fits_host: bool | None = None


@dataclass(frozen=True)
class CertificateList:
    """All certificates of a site; what is wrong with them, and what will be soon, a line each."""

    certificates: tuple[Listed, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def certificate_list(inventory: Inventory, now: datetime) -> CertificateList:
    """Look at the CA and at every certificate beside it, of a host or not. No host is touched."""
    places = all_places(inventory)
    cas = dict.fromkeys(place.ca for place in places)
    problems = [
        line
        for place in places
        for name in place.shown_by
        for line in certificate_problems(name, place.gateway(), now, place.usage)
    ]
    problems += (line for ca in cas for line in key_problems(ca))
    warnings = (line for place in places for line in certificate_warnings(place.gateway(), now))
    return CertificateList(
        (*(each for ca in cas for each in _cas(ca, now)), *(_listed(place, now) for place in places)),
        tuple(dict.fromkeys(problems)),
        tuple(dict.fromkeys(warnings)),
    )


def _cas(path: Path, now: datetime) -> Iterator[Listed]:
    known = read_certificates(path)
    fit = [ca for ca in known if fits_key(ca, key_of(path))]
    for ca in known:
        # Of several CAs, the key is of the one that signs.
        fits = True if ca in fit else None if fit or not has_open_key(path) else False
        yield Listed(CA, str(path), (_text(ca.subject),), **_facts(ca, now), fits_key=fits)


def _listed(place: Place, now: datetime) -> Listed:
    present = place.present
    if present is None:
        return Listed(place.name, str(place.certificate))
    return Listed(
        place.name,
        str(place.certificate),
        (*dns_names(present), *ip_addresses(present)),
        **_facts(present, now),
        fits_key=fits_key(present, place.key),
        fits_host=all(names_host(present, name) for name in place.shown_by),
    )


def _facts(certificate: x509.Certificate, now: datetime) -> dict[str, Any]:
    return {
        "serial": f"{certificate.serial_number:x}",
        "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(),
        "issuer": _text(certificate.issuer),
        "expires": certificate.not_valid_after_utc.isoformat(),
        "days_left": (certificate.not_valid_after_utc - now).days,
    }


def _text(name: x509.Name) -> str:
    """The common name, where there is nothing else."""
    text = one_line(name.rfc4514_string())
    return text.removeprefix("CN=") if len(list(name)) == 1 else text
