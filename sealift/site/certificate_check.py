"""Whether a gateway's certificate, its key and the site's CA belong together, before a host has them.

Envoy starts with none that does not, and clients refuse what it shows: all that can be known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sealift.errors import SealiftError, one_line
from sealift.files import read_limited
from sealift.host.settings import GatewaySettings
from sealift.site.certificate_files import (
    PEM_LIMIT,
    dns_names,
    ip_addresses,
    is_ca,
    is_of,
    names_host,
    parse_certificates,
    read_certificates,
)
from sealift.site.certificates import CLIENT, SERVER, is_address
from sealift.site.secrets import read_private

SOON = timedelta(days=30)
_USAGES = {SERVER: ("servers", "serverAuth"), CLIENT: ("clients", "clientAuth")}
_MISSING = {
    "certificate": "a certificate. Make it, sealift ca issue, or take it from your CA, sealift ca take.",
    "key": "the certificate's key. Make both anew: sealift ca renew.",
    "ca": "the CA's certificate. Make a CA, sealift ca init, or copy that of your own there.",
}


def certificate_problems(
    host: str, gateway: GatewaySettings, now: datetime, usage: x509.ObjectIdentifier = SERVER
) -> Iterator[str]:
    """Everything that keeps a host's gateway from showing a good certificate, a line each.

    + host: its name in the inventory, or another one that clients demand of the certificate
    + gateway: its settings, which say where the files are
    + usage: what the certificate is to be for
    """
    found = {}
    for what, path, read in (
        ("certificate", gateway.certificate, read_limited),
        ("key", gateway.key, read_private),
        ("ca", gateway.ca, read_limited),
    ):
        if not path.exists():
            yield f"{path}: not found, expected {_MISSING[what]}"
            continue
        try:
            found[what] = read(path, PEM_LIMIT)
        except SealiftError as error:
            yield str(error)
    chain = parse_certificates(found.get("certificate", b""))
    cas = parse_certificates(found.get("ca", b""))
    for path, content, parsed in (
        (gateway.certificate, found.get("certificate"), chain),
        (gateway.ca, found.get("ca"), cas),
    ):
        if content is not None and not parsed:
            yield f"{path}: is no certificate, expected PEM that begins with BEGIN CERTIFICATE. Put it there."
    if "key" in found:
        yield from _key_problems(gateway, found["key"], chain)
    if chain:
        yield from _leaf_problems(host, gateway.certificate, chain[0], now, usage)
    in_force = _in_force(cas, now)
    for ca in in_force or cas:
        yield from ca_problems(gateway.ca, ca, now)
    if chain and cas and not _is_vouched_for(chain, in_force or cas):
        issuer = one_line(chain[-1].issuer.rfc4514_string())
        yield (
            f"{gateway.certificate}: is not signed by {gateway.ca} but by {issuer}, expected the site's CA. "
            "Have that sign it, or name the CA that did as gateway.ca."
        )


def certificate_warnings(gateway: GatewaySettings, now: datetime) -> Iterator[str]:
    """What will keep a gateway from it soon: certificates that run out."""
    for path in (gateway.certificate, gateway.ca):
        for certificate in read_certificates(path):
            left = certificate.not_valid_after_utc - now
            if timedelta() < left < SOON:
                yield f"{path}: runs out in {left.days} days, on {certificate.not_valid_after_utc:%Y-%m-%d}."
    cas = read_certificates(gateway.ca)
    in_force = _in_force(cas, now)
    for ca in cas if in_force else ():
        if ca not in in_force:
            yield (
                f"{gateway.ca}: one of its CAs, {one_line(ca.subject.rfc4514_string())}, ran out on "
                f"{ca.not_valid_after_utc:%Y-%m-%d}. Take it out."
            )


def _in_force(cas: list[x509.Certificate], now: datetime) -> list[x509.Certificate]:
    """Those of a file's CAs that have not run out: while one takes the place of another, both stand there."""
    return [ca for ca in cas if now <= ca.not_valid_after_utc]


def _key_problems(gateway: GatewaySettings, content: bytes, chain: list[x509.Certificate]) -> Iterator[str]:
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError:
        yield (
            f"{gateway.key}: is encrypted, expected a key that the gateway can read without a passphrase. "
            f"Run: openssl pkey -in {gateway.key} -out NEW"
        )
        return
    except ValueError:
        yield f"{gateway.key}: is no private key, expected PEM. Put the certificate's key there."
        return
    if chain and not is_of(chain[0], key.public_key()):
        yield (
            f"{gateway.key}: does not belong to {gateway.certificate}, expected that certificate's key. "
            "Were they swapped with those of another host, or was a renewal cut off? Run sealift ca renew."
        )


def _leaf_problems(
    host: str, path: Path, leaf: x509.Certificate, now: datetime, wanted: x509.ObjectIdentifier
) -> Iterator[str]:
    yield from _time_problems(path, leaf, now)
    if not names_host(leaf, host):
        names, kind = (ip_addresses, "IP") if is_address(host) else (dns_names, "DNS")
        listed = one_line(", ".join(names(leaf))) or "no name"
        yield (
            f"{path}: is for {listed}, expected {host} among its alternative names ({kind}). "
            "Have one made for this host."
        )
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return
    if wanted not in usage:
        kind, its = _USAGES[wanted]
        yield f"{path}: is not for {kind}, expected the extended key usage {its}. Renew it."


def ca_problems(path: Path, ca: x509.Certificate, now: datetime) -> Iterator[str]:
    """What keeps clients from believing a CA, a line each.

    + path: its file, for messages
    """
    yield from _time_problems(path, ca, now)
    if not is_ca(ca):
        yield f"{path}: is not a CA's certificate, expected the basic constraint CA. Put the CA's there."
        return
    try:
        signs = ca.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except (x509.ExtensionNotFound, ValueError):
        signs = False
    if not signs:
        yield (
            f"{path}: does not say that it signs certificates, expected the key usage keyCertSign, without "
            "which strict clients refuse it. Have the CA's certificate made anew."
        )


def _time_problems(path: Path, certificate: x509.Certificate, now: datetime) -> Iterator[str]:
    if now > certificate.not_valid_after_utc:
        last = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
        yield f"{path}: ran out on {last}, expected one that is valid. Renew it."
    if now < certificate.not_valid_before_utc:
        yield (
            f"{path}: is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, expected "
            "one that is valid now. Is this machine's clock right?"
        )


def _is_vouched_for(chain: list[x509.Certificate], cas: list[x509.Certificate]) -> bool:
    """Whether each certificate of a chain is signed by the next one, and one by a CA of the site's."""
    for number, certificate in enumerate(chain):
        if any(_signed(certificate, ca) for ca in cas):
            return True
        if number + 1 < len(chain) and not _signed(certificate, chain[number + 1]):
            return False
    return False


def _signed(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
