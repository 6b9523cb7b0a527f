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
from sealift.lab.root import ADMINISTRATOR, SUITE, DebianSuite

BRIDGE = "br0"
BRIDGE_ADDRESS = "10.77.0.1"
RELAY_PORT = 2022
MOST_HOSTS = 64
CONTROL = 0  # the control node's number
CONTROL_DISK = Path("/srv/sealift")  # on the control node
CONTROL_MEDIA = Path("/media/sealift")

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
    def depot(self) -> Path:
        """The site's store, one for this machine and the control node."""
        return self.state / "depot"

    @property
    def media(self) -> Path:
        """What the control node finds on its media."""
        return self.state / "media"

    @property
    def control_disk(self) -> Path:
        """The control node's disk, on which the lab lays what administrators bring to a site."""
        return self.state / "control"

    @property
    def _digest(self) -> bytes:
        return hashlib.sha256(str(self.state).encode()).digest()

    def relay_address(self, number: int) -> str:
        """A loopback address of this lab's own for a host; see relay.py."""
        return f"127.{64 + self._digest[0] % 64}.{self._digest[1]}.{10 + number}"


@dataclass(frozen=True)
class LabHost:
    """A host of a lab, by its number, from 1 on; or its control node, which has the number CONTROL."""

    lab: Lab
    number: int

    @property
    def name(self) -> str:
        """As in the inventory and in ssh_config."""
        return "control" if self.is_control else f"h{self.number}"

    @property
    def is_control(self) -> bool:
        """Whether it is the node that the others are deployed from."""
        return self.number == CONTROL

    @property
    def user(self) -> str:
        """Who logs in: the second host is hardened, refuses root and has an administrator with sudo."""
        return ADMINISTRATOR if self.number == 2 else "root"

    @property
    def machine(self) -> str:
        """As systemd-nspawn calls it: unique on this machine."""
        return f"{self.lab.namespace}-{self.name}"

    @property
    def address(self) -> str:
        """In the closed network."""
        return "10.77.0.2" if self.is_control else f"10.77.0.{10 + self.number}"

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


@dataclass(frozen=True)
class Machines:
    """What a lab is made of: hosts h1 to hN, and a control node or none; all of one Debian suite."""

    lab: Lab
    count: int
    control: bool
    suite: DebianSuite = SUITE

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        """The hosts of the inventory."""
        return tuple(LabHost(self.lab, number) for number in range(1, self.count + 1))

    @property
    def all(self) -> tuple[LabHost, ...]:
        """Everything that is booted."""
        return (*([LabHost(self.lab, CONTROL)] if self.control else []), *self.hosts)


def known_machines(lab: Lab) -> Machines | None:
    """What the lab was made with; None where there is no lab."""
    try:
        known = json.loads(lab.hosts_json.read_bytes())
    except FileNotFoundError:
        return None
    return Machines(lab, len(known["hosts"]), known.get("control", False), known.get("suite", SUITE))


def hosts_json(machines: Machines) -> bytes:
    """What the inventory reads on this machine: names, and where pyinfra and clients find the hosts."""
    listed = [
        {
            "name": host.name,
            "address": host.address,
            "relay": host.relay,
            "relay_port": RELAY_PORT,
            "sudo": host.user != "root",
        }
        for host in machines.hosts
    ]
    namespace = machines.lab.namespace
    enter = ["nsenter", f"--net={machines.lab.netns}"]
    made = {
        "enter": enter,
        "namespace": namespace,
        "control": machines.control,
        "suite": machines.suite,
        "hosts": listed,
    }
    return canonical_json(made, indent=2)


def ssh_config(machines: Machines) -> bytes:
    """ssh_config(5) on this machine: by name through the namespace, by relay address for pyinfra."""
    lab = machines.lab
    blocks = [
        f"Host {host.name}\n"
        f"    HostName {host.address}\n"
        f"    User {host.user}\n"
        f"    ProxyCommand nsenter --net={lab.netns} nc %h %p\n\n"
        for host in machines.all
    ]
    blocks += [
        f"Host {host.relay}\n    Port {RELAY_PORT}\n    User {host.user}\n\n" for host in machines.hosts
    ]
    return _ssh_config(blocks, lab.state)


def _ssh_config(blocks: list[str], state: Path) -> bytes:
    at = Lab(state)
    common = (
        "Host *\n"
        f"    IdentityFile {at.identity}\n"
        "    IdentitiesOnly yes\n"
        f"    UserKnownHostsFile {at.known_hosts}\n"
        "    GlobalKnownHostsFile /dev/null\n"
        "    StrictHostKeyChecking yes\n"
        "    BatchMode yes\n"
        "    ConnectTimeout 10\n"
        "    ServerAliveInterval 15\n"
    )
    return ("".join(blocks) + common).encode()


def known_hosts(public_keys: dict[LabHost, str]) -> bytes:
    """known_hosts lines: a host is the same one under its name, its address and its relay.

    + public_keys: per host, `ssh-ed25519 BASE64`
    """
    return "".join(
        f"{host.name},{host.address},[{host.relay}]:{RELAY_PORT} {key}\n" for host, key in public_keys.items()
    ).encode()
