"""What a real site has and a lab must make for itself: keys, a CA with server certificates, secrets.

Each is made once and kept; whatever a crash left out is made by the next run.
"""

from __future__ import annotations

import datetime
import ipaddress
import secrets
import stat
from pathlib import Path
from typing import cast

import pyrage
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealift.files import write_atomically, write_if_changed
from sealift.lab import layout
from sealift.lab.layout import Lab, LabHost, Machines

SIGNER = "release@lab"
_VALID = datetime.timedelta(days=365)


def ensure_site(all_hosts: tuple[LabHost, ...]) -> None:
    """Make what is missing of the site's keys, certificates and secrets."""
    lab = all_hosts[0].lab
    ensure_ssh_key(lab.identity, "control@lab")
    signing = ensure_ssh_key(lab.state / "release_key", SIGNER)
    _write_once(lab.state / "allowed_signers", f'{SIGNER} namespaces="sealift" {signing}\n'.encode(), 0o644)
    _ensure_secrets(lab)
    tls = lab.state / "tls"
    ca_key = _ensure_tls_key(tls / "ca.key")
    if not (tls / "ca.crt").exists():
        write_atomically(tls / "ca.crt", ca_certificate(ca_key, lab.namespace))
    ca = x509.load_pem_x509_certificate((tls / "ca.crt").read_bytes())
    for host in all_hosts:
        key = _ensure_tls_key(tls / f"{host.name}.key")
        if not (tls / f"{host.name}.crt").exists():
            write_atomically(
                tls / f"{host.name}.crt", server_certificate(key, ca_key, ca, host.name, host.address)
            )


def ensure_control_site(machines: Machines) -> None:
    """Lay on the control node's disk what administrators bring to a site by other ways than media.

    + machines: their keys, certificates and known_hosts are made already
    """
    lab = machines.lab
    at = Lab(lab.control_disk)
    pairs = [f"tls/{host.name}.{kind}" for host in machines.hosts for kind in ("crt", "key")]
    for name in (
        "id_ed25519",
        "known_hosts",
        "allowed_signers",
        "age.key",
        "secrets.age",
        "tls/ca.crt",
        *pairs,
    ):
        mode = stat.S_IMODE((lab.state / name).stat().st_mode)
        write_if_changed(lab.control_disk / name, (lab.state / name).read_bytes(), mode)
    write_if_changed(at.ssh_config, layout.control_ssh_config(machines))
    write_if_changed(at.hosts_json, layout.control_hosts_json(machines))


def ensure_ssh_key(path: Path, comment: str) -> str:
    """Make an Ed25519 key pair in OpenSSH's format where there is none.

    + path: of the private key, mode 0600; the public key is beside it

    Returns the public key without its comment.
    """
    if not path.exists():
        made = Ed25519PrivateKey.generate()
        write_atomically(
            path, made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), mode=0o600
        )
    key = load_ssh_private_key(path.read_bytes(), password=None)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    _write_once(path.with_name(f"{path.name}.pub"), f"{public} {comment}\n".encode(), 0o644)
    return public


def ca_certificate(key: EllipticCurvePrivateKey, name: str) -> bytes:
    """A self-signed CA certificate that can sign servers and nothing below it, PEM.

    + name: its common name
    """
    subject = _name(name)
    return (
        _certificate(subject, subject, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def server_certificate(
    key: EllipticCurvePrivateKey,
    ca_key: EllipticCurvePrivateKey,
    ca: x509.Certificate,
    name: str,
    address: str,
) -> bytes:
    """A server certificate for a host's name and address, PEM."""
    names = x509.SubjectAlternativeName(
        [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(address))],
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return (
        _certificate(_name(name), ca.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(names, critical=False)
        .add_extension(issuer, critical=False)
        .sign(ca_key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _VALID)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


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


def _ensure_tls_key(path: Path) -> EllipticCurvePrivateKey:
    if not path.exists():
        made = generate_private_key(SECP256R1())
        write_atomically(
            path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600
        )
    return cast(EllipticCurvePrivateKey, load_pem_private_key(path.read_bytes(), password=None))


def _ensure_secrets(lab: Lab) -> None:
    path = lab.state / "age.key"
    if not path.exists():
        made = pyrage.x25519.Identity.generate()
        write_atomically(path, f"# public key: {made.to_public()}\n{made}\n".encode(), mode=0o600)
    if not (lab.state / "secrets.age").exists():
        identity = pyrage.x25519.Identity.from_str(path.read_text().split()[-1])
        content = yaml.safe_dump({"api_keys": {"demo": secrets.token_urlsafe(32)}}).encode()
        write_atomically(lab.state / "secrets.age", pyrage.encrypt(content, [identity.to_public()]))


def _write_once(path: Path, content: bytes, mode: int) -> None:
    if not path.exists():
        write_atomically(path, content, mode)
