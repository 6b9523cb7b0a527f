"""Which deployment is in force: links, each changed by one rename; and the end of those before it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from sealift.errors import SealiftError
from sealift.files import sync_folder

COMMAND = Path("/usr/local/bin/sealift")
_BEFORE = "deployment-before"
_NAME = re.compile(r"[0-9a-f]{16}")
_LEFT = re.compile(r"\.[0-9a-f]{16}\.(partial|removed)")  # by killed runs: half unpacked, half removed


def activate(deployment: Path, to: Path, command: Path = COMMAND) -> bool:
    """Put a deployment in force, with its command `sealift`; say whether that changed anything.

    + deployment: a folder below TO/deployments, whole
    + command: where the command is found

    Raises SealiftError where something else is in the way.
    """
    current, target = to / "deployment", str(deployment.relative_to(to))
    if current.is_symlink() and str(current.readlink()) != target:
        _link(to / _BEFORE, str(current.readlink()))
    changed = _link(current, target)
    return _link(command, str(to / "deployment/.venv/bin/sealift")) or changed


def remove_old(to: Path) -> tuple[str, ...]:
    """Remove deployments, but not the one in force, the one before it and the one that runs now.

    Each loses its name first: what a killed run leaves of it is no deployment, and goes the next time.

    + to: folder of all that is sealift's here, held alone

    Gives the names of those removed now.
    """
    folder = to / "deployments"
    for path in folder.iterdir():
        if _LEFT.fullmatch(path.name):
            shutil.rmtree(path)
    if not (to / _BEFORE).is_symlink():  # nothing was put out of force yet, as far as links tell
        return ()
    kept = {(to / name).resolve() for name in ("deployment", _BEFORE)}
    kept.update(Path(sys.prefix).resolve().parents)
    old = sorted(path for path in folder.iterdir() if _is_deployment(path) and path.resolve() not in kept)
    for path in old:
        garbage = path.with_name(f".{path.name}.removed")
        path.rename(garbage)
        sync_folder(folder)
        shutil.rmtree(garbage)
    return tuple(path.name for path in old)


def _is_deployment(path: Path) -> bool:
    return _NAME.fullmatch(path.name) is not None and path.is_dir() and not path.is_symlink()


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
