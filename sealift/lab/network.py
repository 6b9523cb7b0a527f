"""The closed network: a namespace with a bridge, and no route out."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sealift.errors import SealiftError
from sealift.lab.layout import BRIDGE, BRIDGE_ADDRESS, Lab

# Left to itself, a bridge takes on the lowest address of its ports: when that host goes, the others send to
# an address that is no more, and their connections with the control node stall for a minute.
_BRIDGE_MAC = "02:00:0a:4d:00:01"


def ensure_network(lab: Lab) -> None:
    """Make the namespace and its bridge where they are missing, whatever a crash left of them."""
    if not is_namespace(lab.netns):
        if lab.netns.exists():
            _ip("netns", "delete", lab.namespace)
        _ip("netns", "add", lab.namespace)
    inside = ("-n", lab.namespace)
    if BRIDGE not in _ip(*inside, "-brief", "link", "show", "type", "bridge"):
        _ip(*inside, "link", "add", BRIDGE, "type", "bridge")
    _ip(*inside, "link", "set", BRIDGE, "address", _BRIDGE_MAC)
    _ip(*inside, "address", "replace", f"{BRIDGE_ADDRESS}/24", "dev", BRIDGE)
    _ip(*inside, "link", "set", BRIDGE, "up")
    _ip(*inside, "link", "set", "lo", "up")


def remove_network(lab: Lab) -> None:
    """Remove the namespace with all that is in it, and iproute2's folder when it was the last one."""
    if lab.netns.exists():
        _ip("netns", "delete", lab.namespace)
    folder = lab.netns.parent
    if folder.is_mount() and not any(folder.iterdir()):
        subprocess.run(["umount", str(folder)], check=True)


def is_namespace(path: Path) -> bool:
    """Whether a network namespace is mounted there, and not just the file that it would be mounted on."""
    return path.exists() and path.stat().st_dev == Path("/proc/self/ns/net").stat().st_dev


def entering(lab: Lab, command: list[str]) -> list[str]:
    """The command that runs `command` in the closed network."""
    return ["nsenter", f"--net={lab.netns}", *command]


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SealiftError(
            f"ip {' '.join(arguments)}: {done.stderr.strip()}. The lab needs root and network namespaces."
        )
    return done.stdout
