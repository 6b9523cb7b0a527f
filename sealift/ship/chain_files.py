"""What the hosts of a chain know each other by: SSH keys that are made for one transfer and are nowhere else.

Each host but the first runs an sshd of its own while the transfer lasts, on its address. It lets in one key,
that of the host before it, and gives it one command, which takes bytes in.
Source of the options: sshd_config(5), ssh_config(5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

# "UsePAM yes": without it sshd lets in no root whose password is locked, as most are.
_SSHD = """\
Port {port}
ListenAddress {address}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
AllowUsers root
PermitRootLogin forced-commands-only
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM yes
ForceCommand echo $$ >{folder}/pid; exec cat >{folder}/in
DisableForwarding yes
PermitTTY no
PermitUserRC no
PrintMotd no
PrintLastLog no
UseDNS no
PidFile none
MaxStartups 4
LoginGraceTime 20
ClientAliveInterval 5
ClientAliveCountMax 6
"""
_SSH = """\
User root
IdentityFile {folder}/client
IdentitiesOnly yes
PreferredAuthentications publickey
UserKnownHostsFile {folder}/known
GlobalKnownHostsFile /dev/null
HostKeyAlias next
StrictHostKeyChecking yes
UpdateHostKeys no
BatchMode yes
ConnectTimeout 5
ServerAliveInterval 5
ServerAliveCountMax 3
Ciphers ^aes128-gcm@openssh.com
Compression no
LogLevel ERROR
"""
Files = Mapping[str, str]


@dataclass(frozen=True)
class Link:
    """One host's side to the one before it.

    + address: that its sshd listens on, and its port
    + rate: bytes per second that it takes at most, and gives to the one behind it; 0 is no limit
    """

    address: str
    port: int
    rate: int = 0


def taking_and_giving(link: Link, folder: str) -> tuple[Files, Files]:
    """Files of the host that takes, and of the host before it, with new keys.

    + folder: theirs on either host
    """
    host, client = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    taking = {
        "host": _private(host),
        "authorized": f'restrict,command="false" {_public(client)}\n',
        "sshd_config": _SSHD.format(port=link.port, address=link.address, folder=folder),
    }
    giving = {
        "client": _private(client),
        "known": f"next {_public(host)}\n",
        "ssh_config": _SSH.format(folder=folder),
    }
    return taking, giving


def _private(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
