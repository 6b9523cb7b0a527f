"""Files written whole or not at all, and files read only up to a limit."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

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
    """Write a file as `write_atomically` does, unless that is what it holds.

    A link, a pipe or a device in its place is replaced.
    """
    if not _holds(path, content):
        write_atomically(path, content, mode)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return not path.is_symlink() and read_limited(path, len(content)) == content
    except SealiftError:
        return False


def sync_folder(path: Path) -> None:
    """Make renames within a folder survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_file(path: Path) -> BinaryIO:
    """Open a file to read it, itself or through links.

    Raises OSError where it cannot be, or is no file: a pipe is not waited for.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is no file", str(path))
    return os.fdopen(handle, "rb")


def read_limited(path: Path, limit: int) -> bytes:
    """Read a small file.

    + limit: bytes; more than that is refused before it is in memory

    Raises SealiftError where the file is missing, unreadable, no file or too big.
    """
    try:
        with open_file(path) as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise SealiftError(f"{path}: not found. Check the path.") from None
    except OSError as error:
        raise SealiftError(f"{path}: cannot be read: {error.strerror}. Check the path.") from None
    if len(content) > limit:
        raise SealiftError(f"{path}: has more than {limit} bytes, expected fewer. Is it the right file?")
    return content


def parse_json(content: bytes, where: str, keys: int = 128) -> Any:
    """Parse foreign JSON.

    + where: what it is, for the message
    + keys: of one object at most; in a million wrong ones, a million mistakes would be looked for

    Raises SealiftError on anything that is not JSON in UTF-8, is nested beyond reason, or has a key twice:
    readers differ in which of the two they take.
    """

    def checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands there twice")
        if len(found) > keys:
            raise ValueError(f"an object has more than {keys} keys")
        return found

    try:
        return json.loads(content.decode(), object_pairs_hook=checked, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise SealiftError(f"{where}: is not JSON ({error}). Make or copy it again.") from None


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
