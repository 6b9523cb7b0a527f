"""Whether this machine can be the control node of a release."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from sealift.errors import SealiftError
from sealift.install.content import ControlPart


def check_machine(control: ControlPart) -> None:
    """Raise SealiftError where this is not root on the Debian that the release is made for."""
    if os.geteuid() != 0:
        raise SealiftError("root: is needed to install packages, expected user id 0. Run it with sudo.")
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    here = f"{release.get('ID', 'unknown')} {release.get('VERSION_CODENAME', '')} {platform.machine()}"
    wanted = f"debian {control.suite} x86_64"
    if here != wanted:
        raise SealiftError(
            f"this machine: is {here}, expected {wanted}, for which {control.release} was made. "
            "Install that Debian, or have the release built for this one."
        )


def check_room(folder: Path, needed: int) -> None:
    """Raise SealiftError where a disk is too small.

    + folder: on it
    + needed: bytes
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SealiftError(
            f"{folder}: has {free} bytes free, expected {needed}. Make room, or use a larger disk."
        )
