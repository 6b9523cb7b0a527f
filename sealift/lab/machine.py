"""What this machine must have before a lab can be made on it."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from sealift.errors import SealiftError
from sealift.lab.layout import Lab
from sealift.lab.relay import PROXY

_DISK_FREE_MIB = 6 * 1024
# Each Envoy takes one for each file that it watches, and all hosts of all labs share the machine's 128.
_INOTIFY, _INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances"), 1024
_TOOLS = {
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nc": "netcat-openbsd",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "systemd-socket-activate": "systemd",
    "unshare": "util-linux",
    str(PROXY): "systemd",
}


def require_root() -> None:
    """Raise SealiftError for anybody but root."""
    if os.geteuid() != 0:
        raise SealiftError("lab: needs root for namespaces and mounts, expected user id 0. Run it with sudo.")


def require_machine(lab: Lab) -> None:
    """Raise SealiftError for the first thing that a lab needs and this machine lacks."""
    require_root()
    for tool, package in _TOOLS.items():
        if shutil.which(tool) is None:
            raise SealiftError(f"{tool}: not found, the lab needs it. Install the Debian package {package}.")
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True).returncode:
        raise SealiftError(
            "unshare: the kernel gives no network and mount namespaces, the lab is made of them. "
            "In a container, run it with --privileged."
        )
    free = disk_free_mib(lab.state)
    if free < _DISK_FREE_MIB:
        raise SealiftError(
            f"{lab.state}: {free} MiB free, expected {_DISK_FREE_MIB} MiB for the hosts' disks. "
            "Make room, or set SEALIFT_LAB to a folder on a larger disk."
        )


def raise_limits() -> None:
    """Have the kernel allow what the hosts of a lab take together, where this machine lets it be changed."""
    if int(_INOTIFY.read_text()) < _INSTANCES:
        with suppress(OSError):
            _INOTIFY.write_text(str(_INSTANCES))


def disk_free_mib(path: Path) -> int:
    """Free space where a folder is or would be, in MiB.

    + path: it or one of its parents exists
    """
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    return shutil.disk_usage(existing).free // 2**20
