"""Whether this machine can be the control node of a release."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path

from sealift.errors import SealiftError
from sealift.install.content import ControlPart
from sealift.release.suites import DEBIAN, SUITES


def check_machine(control: ControlPart) -> None:
    """Raise SealiftError where this is not root on the Debian that the release is made for."""
    if os.geteuid() != 0:
        raise SealiftError("root: is needed to install packages, expected user id 0. Run it with sudo.")
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    here = f"{release.get('ID', 'unknown')} {release.get('VERSION_CODENAME', '')} {platform.machine()}"
    suite = SUITES.get(control.suite)
    wanted = f"{suite.system if suite else DEBIAN} {control.suite} x86_64"
    if here != wanted:
        raise SealiftError(
            f"this machine: is {here}, expected {wanted}, for which {control.release} was made. "
            "Install that, or have the release built for this one."
        )


def check_room(needed: Mapping[Path, int]) -> None:
    """Raise SealiftError where a disk is too small for all that goes to it.

    + needed: bytes by folder
    """
    disks: dict[int, list[Path]] = {}
    for folder in needed:
        disks.setdefault(folder.stat().st_dev, []).append(folder)
    for folders in disks.values():
        free, together = shutil.disk_usage(folders[0]).free, sum(needed[folder] for folder in folders)
        if free < together:
            raise SealiftError(
                f"{' and '.join(map(str, folders))}: {'have' if folders[1:] else 'has'} {free} bytes free, "
                f"expected {together}. Make room, or use a larger disk."
            )


def has_links(folder: Path) -> bool:
    """Whether a file in a folder can have a second name there: FAT and some network file systems have none.

    + folder: held alone
    """
    file, link = folder / ".linked", folder / ".link"
    file.touch()
    try:
        link.unlink(missing_ok=True)  # of a killed run
        link.hardlink_to(file)
    except OSError:
        return False
    finally:
        link.unlink(missing_ok=True)
        file.unlink()
    return True
