"""Temporary folders that do not outlive a killed process for long."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TO_LOCK_S = 60  # between making a folder and locking it a process takes no longer


@contextmanager
def scratch(kind: str) -> Iterator[Path]:
    """A folder for the time being, readable by its owner alone; it is removed at the end.

    What killed processes left behind is removed first: nobody holds the lock of it any more.

    + kind: of the work, a part of the name
    """
    prefix = f"sealift-{kind}-"
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        _remove_if_left(path)
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(handle)


def _remove_if_left(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # gone meanwhile, no folder, or not ours to look into
        return
    try:
        found = os.fstat(handle)
        is_ours = found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == 0o700
        if is_ours and found.st_mtime < time.time() - _TO_LOCK_S:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
    except (BlockingIOError, FileNotFoundError):  # in use, or another process has just removed it
        return
    finally:
        os.close(handle)
