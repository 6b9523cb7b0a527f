"""Certificates in files, and what is read out of them."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from sealift.errors import SealiftError
from sealift.files import read_limited

PEM_LIMIT = 1 << 20  # bytes


def parse_certificates(content: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM file, in its order; none where it is no such file."""
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        return []


def read_certificates(path: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file; none where there is no such file, too."""
    try:
        return parse_certificates(read_limited(path, PEM_LIMIT))
    except SealiftError:
        return []


def is_of(certificate: x509.Certificate, key: PublicKeyTypes) -> bool:
    """Whether a certificate is of this public key."""
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_key().public_bytes(*form) == key.public_bytes(*form)


def fits_key(certificate: x509.Certificate, key: Path) -> bool:
    """Whether a certificate is of the private key in a file; no where there is none that can be read."""
    try:
        private = load_pem_private_key(read_limited(key, PEM_LIMIT), None)
    except (SealiftError, ValueError, TypeError):
        return False
    return is_of(certificate, private.public_key())


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether it says of itself that it is a CA's."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def dns_names(signed: x509.Certificate | x509.CertificateSigningRequest) -> list[str]:
    """The DNS names among its alternative names."""
    names = _alternative_names(signed)
    return names.get_values_for_type(x509.DNSName) if names else []


def ip_addresses(signed: x509.Certificate | x509.CertificateSigningRequest) -> list[str]:
    """The IP addresses among its alternative names."""
    names = _alternative_names(signed)
    return [str(address) for address in names.get_values_for_type(x509.IPAddress)] if names else []


def names_host(certificate: x509.Certificate, host: str) -> bool:
    """Whether one of its names is the host's.

    + host: a DNS name or an IP address
    """
    return host in ip_addresses(certificate) or any(_matches(name, host) for name in dns_names(certificate))


def _alternative_names(
    signed: x509.Certificate | x509.CertificateSigningRequest,
) -> x509.SubjectAlternativeName | None:
    try:
        return signed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def _matches(name: str, host: str) -> bool:
    """As RFC 6125 has it: a star stands for one whole label, the first."""
    name, host = name.lower(), host.lower()
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:] != "")
