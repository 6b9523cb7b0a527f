"""Certificates issued, renewed, requested of another CA, and taken from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sealift.errors import SealiftError
from sealift.files import locked, read_limited, write_atomically
from sealift.site.certificate_check import certificate_problems
from sealift.site.certificate_files import PEM_LIMIT, fits_key, is_ca, parse_certificates
from sealift.site.certificates import Authority, Names, key_pem, new_key, signing_request
from sealift.site.pair_files import beside, put_in_force, put_pair
from sealift.site.places import Place, keys_there
from sealift.site.secrets import read_private


@dataclass(frozen=True)
class Wanted:
    """A certificate that is to be: where, and for what."""

    place: Place
    names: Names


@dataclass(frozen=True)
class Taken:
    """A certificate that another CA has signed: its file, and the place that it is for."""

    file: Path
    place: Place


def lacking(places: Iterable[Place]) -> tuple[Place, ...]:
    """Those without a certificate."""
    return tuple(place for place in places if place.present is None)


def due(places: Iterable[Place], now: datetime, within: timedelta) -> tuple[Place, ...]:
    """Those whose certificate runs out within some time, or is not of the key beside it."""
    return tuple(
        place
        for place in places
        if (present := place.present)
        and (present.not_valid_after_utc - now < within or not fits_key(present, place.key))
    )


def must_lack(places: Iterable[Place]) -> None:
    """Raise SealiftError where one has a certificate: the first would be lost without a word."""
    there = [
        f"{place.certificate}: is there already, expected none. Renew it: sealift ca renew SITE {place.name}"
        for place in places
        if place.present
    ]
    if there:
        raise SealiftError("\n".join(there))


def must_have(places: Iterable[Place]) -> None:
    """Raise SealiftError where one has no certificate that could be renewed."""
    mistakes = [
        f"{place.certificate}: not found, expected a certificate. Make it: sealift ca issue SITE {place.name}"
        for place in lacking(places)
    ]
    if mistakes:
        raise SealiftError("\n".join(mistakes))


def issue(wanted: Sequence[Wanted], authority: Authority, now: datetime) -> None:
    """Issue certificates with new keys, over those that are there."""
    for each in wanted:
        pair = authority.issue(each.names, now, each.place.usage)
        with locked(each.place.certificate.parent, lambda: None):
            put_pair(each.place.certificate, each.place.key, pair)
            each.place.request.unlink(missing_ok=True)  # its key is gone


def request(wanted: Sequence[Wanted]) -> None:
    """Write requests for another CA to sign.

    The key in force stays while the CA has the request: the new one waits beside it. Written again, a request
    is of the same key, so what the CA has already remains good.

    Raises SealiftError where a key that waits cannot be read.
    """
    for each in wanted:
        place = each.place
        path = beside(place.key) if place.present else place.key
        with locked(place.certificate.parent, lambda: None):
            if not path.exists():
                write_atomically(path, key_pem(new_key()), 0o600)
            write_atomically(place.request, signing_request(_own_key(path), each.names))


def take(files: Sequence[Path], places: Sequence[Place], now: datetime) -> tuple[Taken, ...]:
    """Put what another CA has signed in place, each beside the key that it is of.

    + files: PEM, the certificate first, then those of the CAs between it and the one that clients know

    Raises SealiftError with a line per mistake; nothing is put in place then.
    """
    found: list[tuple[Taken, bytes]] = []
    mistakes: list[str] = []
    for file in files:
        try:
            content = read_limited(file, PEM_LIMIT)
            place, key = _place_of(file, content, places)
        except SealiftError as error:
            mistakes.append(str(error))
            continue
        gateway = place.gateway(file, key)
        mistakes += (
            line for name in place.shown_by for line in certificate_problems(name, gateway, now, place.usage)
        )
        found.append((Taken(file, place), content))
    if mistakes:
        raise SealiftError("\n".join(dict.fromkeys(mistakes)))
    for taken, content in found:
        _put(taken.place, content)
    return tuple(taken for taken, _ in found)


def _put(place: Place, content: bytes) -> None:
    (leaf, *_) = parse_certificates(content)
    with locked(place.certificate.parent, lambda: None):
        if fits_key(leaf, place.key):
            write_atomically(place.certificate, content)
        else:
            write_atomically(beside(place.certificate), content)
            put_in_force(place.certificate, place.key)
        if not beside(place.key).exists():
            place.request.unlink(missing_ok=True)


def _place_of(file: Path, content: bytes, places: Sequence[Place]) -> tuple[Place, Path]:
    """The place that a certificate is for, by its key, and the file of that key."""
    parsed = parse_certificates(content)
    if not parsed:
        raise SealiftError(
            f"{file}: is no certificate, expected PEM that begins with BEGIN CERTIFICATE. "
            f"If it is DER: openssl x509 -inform DER -in {file} -out NEW"
        )
    for place in places:
        for key in keys_there(place):
            if fits_key(parsed[0], key):
                return place, key
    if is_ca(parsed[0]):
        raise SealiftError(
            f"{file}: is a CA's certificate, expected a server's first. If clients are to trust that CA, "
            f"copy it: {places[0].ca}"
        )
    raise SealiftError(
        f"{file}: belongs to no key of this site, expected the answer to a request of sealift's. "
        "Was the request written anew with another key?"
    )


def _own_key(path: Path) -> EllipticCurvePrivateKey:
    try:
        return cast(EllipticCurvePrivateKey, load_pem_private_key(read_private(path, PEM_LIMIT), None))
    except (ValueError, TypeError):
        raise SealiftError(
            f"{path}: is no private key that can be read, expected PEM without a passphrase. "
            "Remove it for a new one."
        ) from None
