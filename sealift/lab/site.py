"""What a real site has and a lab must make for itself: keys, a CA with server certificates, secrets.

Each is made once and kept; whatever a crash left out is made by the next run.
"""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from sealift.files import write_atomically, write_if_changed
from sealift.lab.layout import Lab, LabHost, Machines
from sealift.services import MONITOR_NAME
from sealift.site.authority import open_authority
from sealift.site.certificates import CLIENT, Names, new_authority
from sealift.site.pair_files import put_pair
from sealift.site.secrets import ACCEPTANCE, PROBE, ClientKeys, new_key, seal

SIGNER = "release@lab"


def ensure_site(all_hosts: tuple[LabHost, ...]) -> None:
    """Make what is missing of the site's keys, certificates and secrets."""
    lab = all_hosts[0].lab
    ensure_ssh_key(lab.identity, "control@lab")
    signing = ensure_ssh_key(lab.state / "release_key", SIGNER)
    _write_once(lab.state / "allowed_signers", f'{SIGNER} namespaces="sealift" {signing}\n'.encode(), 0o644)
    _ensure_secrets(lab)
    _ensure_certificates(all_hosts, datetime.now(UTC))


def ensure_control_site(machines: Machines) -> None:
    """Lay on the control node's disk what administrators bring to a site by other ways than media.

    The inventory is not among it: it is made there, by `sealift init`.

    + machines: their keys and known_hosts are made already
    """
    lab = machines.lab
    for name in ("id_ed25519", "known_hosts", "allowed_signers"):
        mode = stat.S_IMODE((lab.state / name).stat().st_mode)
        write_if_changed(lab.control_disk / name, (lab.state / name).read_bytes(), mode)


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


def _ensure_certificates(hosts: tuple[LabHost, ...], now: datetime) -> None:
    lab = hosts[0].lab
    tls = lab.state / "tls"
    ca, key = tls / "ca.crt", tls / "ca.key"
    if not ca.exists():
        put_pair(ca, key, new_authority(lab.namespace, now).pair)
    authority = open_authority(ca, key, lambda: "", now)
    for host in hosts:
        if not (tls / f"{host.name}.crt").exists():
            pair = authority.issue(Names.of_host(host.name, host.address), now)
            put_pair(tls / f"{host.name}.crt", tls / f"{host.name}.key", pair)
    if not (tls / "monitor.crt").exists():
        put_pair(
            tls / "monitor.crt", tls / "monitor.key", authority.issue(Names((MONITOR_NAME,)), now, CLIENT)
        )


def _ensure_secrets(lab: Lab) -> None:
    path = lab.state / "identity"
    if not path.exists():
        made = pyrage.x25519.Identity.generate()
        write_atomically(path, f"# public key: {made.to_public()}\n{made}\n".encode(), mode=0o600)
    if not (lab.state / "secrets.age").exists():
        identity = pyrage.x25519.Identity.from_str(path.read_text().split()[-1])
        keys = {client: ClientKeys(keys=(new_key(),)) for client in ("demo", ACCEPTANCE, PROBE)}
        write_atomically(lab.state / "secrets.age", seal(keys, identity.to_public()), 0o600)


def _write_once(path: Path, content: bytes, mode: int) -> None:
    if not path.exists():
        write_atomically(path, content, mode)
