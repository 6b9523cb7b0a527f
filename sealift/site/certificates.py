"""A site's CA and what it issues: how a certificate is made. Nothing here reads or writes a file.

Source of what a certificate must say: RFC 5280, 4.2.1; Python's and OpenSSL's strict checks go by it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealift.errors import SealiftError

CA_VALID = timedelta(days=3650)
SERVER_VALID = timedelta(days=825)  # what the strictest clients take
# What a certificate is for.
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH

_LABEL = "[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_DNS = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")

# Of a CA: what every client can check. Few know others, such as Ed25519.
CaKey = EllipticCurvePrivateKey | RSAPrivateKey


@dataclass(frozen=True)
class Names:
    """What a certificate is for.

    + dns: at least one; the first is its common name, too
    + addresses: IP addresses
    """

    dns: tuple[str, ...]
    addresses: tuple[str, ...] = ()

    @classmethod
    def of_host(cls, host: str, address: str) -> Names:
        """Those of a host: its name, and its address where that is another.

        + host: its name in the inventory
        + address: where clients reach it, an IP address or a DNS name
        """
        return cls((host,), (address,)) if is_address(address) else cls((host,)).with_dns((address,))

    @classmethod
    def parse(cls, dns: Sequence[str], addresses: Sequence[str]) -> Names:
        """As somebody typed them. Raises SealiftError naming those that are wrong."""
        wrong = [
            f"{name}: is no DNS name, expected one such as llm.example."
            for name in dns
            if not _DNS.fullmatch(name) or is_address(name)
        ]
        wrong += [
            f"{text}: is no IP address, expected one such as 10.0.0.10."
            for text in addresses
            if not is_address(text)
        ]
        if wrong:
            raise SealiftError("\n".join(wrong))
        return cls(tuple(dict.fromkeys(dns)), tuple(dict.fromkeys(addresses)))

    def with_dns(self, more: Iterable[str]) -> Names:
        """The same and further DNS names."""
        return Names(tuple(dict.fromkeys((*self.dns, *more))), self.addresses)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Authority:
    """A CA: its certificate, and the key that signs."""

    certificate: x509.Certificate
    key: CaKey = field(repr=False)

    @property
    def pair(self) -> Pair:
        """It as PEM, the key not encrypted."""
        return Pair(pem(self.certificate), key_pem(self.key))

    def issue(self, names: Names, now: datetime, usage: x509.ObjectIdentifier = SERVER) -> Pair:
        """A certificate, with a key of its own. It does not outlast the CA.

        + usage: of a server, or of a client
        """
        key = new_key()
        end = min(now + SERVER_VALID, self.certificate.not_valid_after_utc)
        builder = (
            _builder(_name(names.dns[0]), self.certificate.subject, key, now, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(_alternative_names(names), critical=False)
            .add_extension(_issuer(self.certificate), critical=False)
        )
        return Pair(pem(builder.sign(self.key, hashes.SHA256())), key_pem(key))


def new_authority(site: str, now: datetime) -> Authority:
    """A CA that can sign servers and nothing below it.

    Its name has the day in it: when one takes the place of another, clients know both for a while.
    """
    key, name = new_key(), _name(f"sealift {site[:45]} {now:%Y-%m-%d}")
    builder = (
        _builder(name, name, key, now, now + CA_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def signing_request(key: EllipticCurvePrivateKey, names: Names) -> bytes:
    """A request to the site's own CA for such a certificate, PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(names.dns[0]))
    request = builder.add_extension(_alternative_names(names), critical=False).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM)


def new_key() -> EllipticCurvePrivateKey:
    """A new private key."""
    return generate_private_key(SECP256R1())


def key_pem(key: CaKey) -> bytes:
    """A private key as PEM, not encrypted: a gateway starts without anybody there."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def is_address(text: str) -> bool:
    """Whether it is an IP address, and no name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _alternative_names(names: Names) -> x509.SubjectAlternativeName:
    dns = (x509.DNSName(name) for name in names.dns)
    addresses = (x509.IPAddress(ipaddress.ip_address(address)) for address in names.addresses)
    return x509.SubjectAlternativeName([*dns, *addresses])


def _issuer(ca: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """As the CA's certificate calls its key: those that others made may have another identifier than ours."""
    try:
        identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        identifier = x509.SubjectKeyIdentifier.from_public_key(ca.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # a host's clock may be a little behind
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])  # RFC 5280, appendix A.1


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
