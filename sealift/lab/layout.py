"""Where things of a lab are and what they are called. All of it follows from the state directory."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sealift.errors import SealiftError
from sealift.files import canonical_json

BRIDGE = "br0"
CONTROL_ADDRESS = "10.77.0.1"
RELAY_PORT = 2022
MOST_HOSTS = 64

# Overlay mounts, systemd-nspawn and ssh_config each give a meaning to some other characters.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._@+-]+")


@dataclass(frozen=True)
class Lab:
    """A lab: its state directory, by its real path, and what is named after it."""

    state: Path

    @property
    def namespace(self) -> str:
        """The network namespace, and the folder in the cgroup hierarchies."""
        return f"sealift-{self._digest.hex()[:8]}"

    @property
    def netns(self) -> Path:
        """The namespace as nsenter takes it."""
        return Path("/run/netns") / self.namespace

    @property
    def ssh_config(self) -> Path:
        """What makes `ssh -F` and pyinfra reach the hosts."""
        return self.state / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        """The hosts' keys, made before they were booted."""
        return self.state / "known_hosts"

    @property
    def identity(self) -> Path:
        """The private SSH key of the control node."""
        return self.state / "id_ed25519"

    @property
    def hosts_json(self) -> Path:
        """Which hosts there are. The file also marks the folder as a lab's own."""
        return self.state / "hosts.json"

    @property
    def _digest(self) -> bytes:
        return hashlib.sha256(str(self.state).encode()).digest()

    def relay_address(self, number: int) -> str:
        """A loopback address of this lab's own for a host; see relay.py."""
        return f"127.{64 + self._digest[0] % 64}.{self._digest[1]}.{10 + number}"


@dataclass(frozen=True)
class LabHost:
    """A host of a lab, by its number, from 1 on."""

    lab: Lab
    number: int

    @property
    def name(self) -> str:
        """As in the inventory."""
        return f"h{self.number}"

    @property
    def machine(self) -> str:
        """As systemd-nspawn calls it: unique on this machine."""
        return f"{self.lab.namespace}-{self.name}"

    @property
    def address(self) -> str:
        """In the closed network."""
        return f"10.77.0.{10 + self.number}"

    @property
    def relay(self) -> str:
        """On this machine's loopback."""
        return self.lab.relay_address(self.number)

    @property
    def folder(self) -> Path:
        """Its disks and the log of its console."""
        return self.lab.state / "hosts" / self.name

    @property
    def upper(self) -> Path:
        """What differs from the root that all hosts share."""
        return self.folder / "upper"


def open_lab(environment: Mapping[str, str]) -> Lab:
    """The lab that `SEALIFT_LAB` names, or `.lab` below the current folder.

    + environment: of the process

    Raises SealiftError where the path has characters that mounts or ssh_config cannot take.
    """
    state = os.path.realpath(environment.get("SEALIFT_LAB") or ".lab")
    if not _PLAIN_PATH.fullmatch(state):
        raise SealiftError(
            f"{state}: the path of a lab's state has characters other than letters, digits and `/._@+-`, "
            "expected only those. Set SEALIFT_LAB to a plain path."
        )
    return Lab(Path(state))


def hosts(lab: Lab, count: int) -> tuple[LabHost, ...]:
    """Hosts h1 to h`count`."""
    return tuple(LabHost(lab, number) for number in range(1, count + 1))


def known_count(lab: Lab) -> int:
    """How many hosts the lab was made with; 0 where there is no lab."""
    try:
        return len(json.loads(lab.hosts_json.read_bytes())["hosts"])
    except FileNotFoundError:
        return 0


def hosts_json(all_hosts: tuple[LabHost, ...]) -> bytes:
    """What the inventory reads: names, and where pyinfra and clients find the hosts."""
    listed = [
        {"name": host.name, "address": host.address, "relay": host.relay, "relay_port": RELAY_PORT}
        for host in all_hosts
    ]
    return canonical_json({"namespace": all_hosts[0].lab.namespace, "hosts": listed}, indent=2)


def ssh_config(all_hosts: tuple[LabHost, ...]) -> bytes:
    """ssh_config(5) for the hosts: by name through the namespace, by relay address for pyinfra."""
    lab = all_hosts[0].lab
    blocks = [
        f"Host {host.name}\n"
        f"    HostName {host.address}\n"
        f"    ProxyCommand nsenter --net={lab.netns} nc %h %p\n\n"
        f"Host {host.relay}\n"
        f"    Port {RELAY_PORT}\n\n"
        for host in all_hosts
    ]
    common = (
        "Host *\n"
        "    User root\n"
        f"    IdentityFile {lab.identity}\n"
        "    IdentitiesOnly yes\n"
        f"    UserKnownHostsFile {lab.known_hosts}\n"
        "    GlobalKnownHostsFile /dev/null\n"
        "    StrictHostKeyChecking yes\n"
        "    BatchMode yes\n"
        "    ConnectTimeout 10\n"
    )
    return ("".join(blocks) + common).encode()


def known_hosts(public_keys: dict[LabHost, str]) -> bytes:
    """known_hosts lines: a host is the same one under its name, its address and its relay.

    + public_keys: per host, `ssh-ed25519 BASE64`
    """
    return "".join(
        f"{host.name},{host.address},[{host.relay}]:{RELAY_PORT} {key}\n" for host, key in public_keys.items()
    ).encode()
