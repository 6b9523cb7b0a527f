"""Files written whole or not at all, and files read only up to a limit."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sealift.errors import SealiftError


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part.

    + path: where; its folder is made
    + mode: permissions, from the first byte on
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_if_changed(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file as `write_atomically` does, unless that is what it holds."""
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content, mode)


def sync_folder(path: Path) -> None:
    """Make renames within a folder survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_limited(path: Path, limit: int) -> bytes:
    """Read a small file.

    + limit: bytes; more than that is refused before it is in memory

    Raises SealiftError where the file is missing, unreadable or too big.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise SealiftError(f"{path}: not found. Check the path.") from None
    except OSError as error:
        raise SealiftError(f"{path}: cannot be read: {error.strerror}. Check the path.") from None
    if len(content) > limit:
        raise SealiftError(f"{path}: has more than {limit} bytes, expected fewer. Is it the right file?")
    return content


def parse_json(content: bytes, where: str) -> Any:
    """Parse foreign JSON.

    + where: what it is, for the message

    Raises SealiftError on anything that is not JSON, is nested beyond reason, or has a key twice: readers
    differ in which of the two they take.
    """
    try:
        return json.loads(content, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise SealiftError(f"{where}: is not JSON ({error}). Make or copy it again.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def canonical_json(value: Any, indent: int | None = None) -> bytes:
    """The one form in which JSON is written here, so that equal data has an equal digest.

    + indent: spaces, for files that people read
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(value, sort_keys=True, indent=indent, separators=separators, ensure_ascii=False)
    return (text + ("" if indent is None else "\n")).encode()


@contextmanager
def locked(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a folder alone; the kernel lets go of it when the process ends, however it ends.

    + folder: made where it is missing
    + waiting: called once where another process holds it
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
