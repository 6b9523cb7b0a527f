"""The Debian roots that lab hosts share, read-only: what a bare server has, and for hosts no Python.

They are made by mmdebstrap from the mirror that this machine's apt uses, and cached by what went into them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import IO, Literal, cast

from sealift.errors import SealiftError
from sealift.files import canonical_json, locked, sync_folder
from sealift.processes import CONTAINED
from sealift.progress import Progress
from sealift.sources.apt_mirror import Mirrors, debian_mirrors

ADMINISTRATOR = "admin"  # a user of each host who has sudo
ADMINISTRATOR_ID = 1000  # user and group
DebianSuite = Literal["bookworm", "trixie"]
SUITE: DebianSuite = "trixie"  # unless another one is asked for
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "iputils-ping",
    "openssh-server",
    "procps",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tzdata",
)
CONTROL_PACKAGES = (*PACKAGES, "python3")  # a control node needs nothing but that, and media
ENABLED = ("systemd-networkd.service", "ssh.service")
MASKED = (
    "apt-daily.timer",  # there is nothing to update from
    "apt-daily-upgrade.timer",
    "systemd-modules-load.service",  # the kernel is this machine's, with the modules that it has
)
# This machine's resolver and names, which mmdebstrap copies, and what each host must have of its own.
REMOVED = (
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/*",
    "etc/hostname",
    "etc/hosts",
    "etc/machine-id",
    "etc/resolv.conf",
    "etc/ssh/ssh_host_*",
)
_UNITS = "etc/systemd/system"


def recipe_digest(suite: DebianSuite, packages: tuple[str, ...]) -> str:
    """Names a root by all that determines it, but for the day's package versions.

    + packages: beside Debian's essential ones
    """
    recipe = {
        "suite": suite,
        "packages": packages,
        "enabled": ENABLED,
        "masked": MASKED,
        "removed": REMOVED,
        "users": (ADMINISTRATOR, ADMINISTRATOR_ID),
    }
    return hashlib.sha256(canonical_json(recipe)).hexdigest()[:16]


def ensure_root(cache: Path, suite: DebianSuite, packages: tuple[str, ...], progress: Progress) -> Path:
    """A root, built if the cache lacks it.

    + cache: folder where roots are kept between labs
    + packages: beside Debian's essential ones

    Raises SealiftError where mmdebstrap fails; its log stays in the cache.
    """
    root = cache / recipe_digest(suite, packages)
    if root.exists():
        return root
    with locked(cache, lambda: progress("waiting for another lab to build the Debian root", 0, 0)):
        if not root.exists():
            partial = cache / f"{root.name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            _debootstrap(partial, suite, packages, cache / f"{root.name}.log", progress)
            finish(partial)
            os.sync()
            partial.rename(root)
            sync_folder(cache)
    return root


def sources(mirrors: Mirrors, suite: DebianSuite = SUITE) -> str:
    """sources.list(5) of a suite with its updates."""
    return (
        f"deb {mirrors.main} {suite} main\n"
        f"deb {mirrors.main} {suite}-updates main\n"
        f"deb {mirrors.security} {suite}-security main\n"
    )


def finish(root: Path) -> None:
    """Take out what must not be shared, and set which units start.

    + root: a Debian root
    """
    for pattern in REMOVED:
        for path in root.glob(pattern):
            path.unlink()
    units = root / _UNITS
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(parents=True, exist_ok=True)
    for unit in ENABLED:
        _link(wanted / unit, f"/usr/lib/systemd/system/{unit}")
    for unit in MASKED:
        _link(units / unit, "/dev/null")


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _debootstrap(
    root: Path, suite: DebianSuite, packages: tuple[str, ...], log: Path, progress: Progress
) -> None:
    user = f"useradd --uid {ADMINISTRATOR_ID} --create-home --shell /bin/bash {ADMINISTRATOR}"
    command = ["mmdebstrap", "--variant=minbase", "--format=directory", f"--include={','.join(packages)}"]
    command.append(f'--customize-hook=chroot "$1" {user}')
    child = subprocess.Popen(
        [*CONTAINED, *command, suite, str(root), "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with log.open("w") as file, child, cast(IO[str], child.stderr) as said:
        with cast(IO[str], child.stdin) as stdin:
            stdin.write(sources(debian_mirrors(), suite))
        for line in said:
            file.write(line)
            if line.startswith("I: "):
                progress(f"Debian root: {line[3:].strip().rstrip('.')}", 0, 0)
    if child.returncode:
        shutil.rmtree(root, ignore_errors=True)
        raise SealiftError(
            f"mmdebstrap: exited {child.returncode}, expected a Debian {suite} root. "
            f"{log} says why; check that apt-get update works."
        )
