"""Which deployment is in force: links, each changed by one rename."""

from __future__ import annotations

import os
from pathlib import Path

from sealift.errors import SealiftError
from sealift.files import sync_folder

COMMAND = Path("/usr/local/bin/sealift")


def activate(deployment: Path, to: Path, command: Path = COMMAND) -> bool:
    """Put a deployment in force, with its command `sealift`; say whether that changed anything.

    + deployment: a folder below TO/deployments, whole
    + command: where the command is found

    Raises SealiftError where something else is in the way.
    """
    changed = _link(to / "deployment", str(deployment.relative_to(to)))
    return _link(command, str(to / "deployment/.venv/bin/sealift")) or changed


def _link(path: Path, target: str) -> bool:
    if path.is_symlink() and str(path.readlink()) == target:
        return False
    if path.exists() and not path.is_symlink():
        raise SealiftError(f"{path}: is there and no link, expected one or nothing. Move it out of the way.")
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(path)
    sync_folder(path.parent)
    return True
