"""Bytes of a file, read by pieces, hashed, and held against what they should be."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sealift.blob import Blob
from sealift.errors import SealiftError
from sealift.files import read_limited

CHUNK = 1 << 20  # bytes read at once: memory stays flat however large a blob is


_FICLONERANGE = 0x4020940D  # ioctl_ficlonerange(2)


@dataclass(frozen=True)
class Content:
    """Where bytes lie: a range of a file, in bytes."""

    path: Path
    offset: int
    size: int

    @classmethod
    def of_file(cls, path: Path) -> Content:
        """A whole file.

        Raises SealiftError where it is missing, or is a link or device.
        """
        try:
            status = path.lstat()
        except OSError as error:
            raise SealiftError(f"{path}: cannot be read: {error.strerror}. Copy it again.") from None
        if not stat.S_ISREG(status.st_mode):
            raise SealiftError(f"{path}: is a link or a device, expected a file. Copy it again.")
        return cls(path, 0, status.st_size)

    def chunks(self) -> Iterator[bytes]:
        """The bytes, CHUNK at a time.

        Raises SealiftError where the file ends early or cannot be read.
        """
        try:
            with self._open() as file:
                file.seek(self.offset)
                yield from self._chunks(file)
        except OSError as error:
            raise SealiftError(f"{self.path}: cannot be read: {error.strerror}. Copy it again.") from None

    def clone(self, file: BinaryIO) -> bool:
        """Let an empty file share these bytes, as Btrfs and XFS can: no change to the one shows in the other.

        False where the file system cannot, or not from there; nothing is written then.
        """
        if self.size == 0:
            return False
        try:
            with self._open() as source:
                wanted = struct.pack("qQQQ", source.fileno(), self.offset, self.size, 0)
                fcntl.ioctl(file.fileno(), _FICLONERANGE, wanted)
        except OSError:  # of many kinds; copying tells what is really wrong
            return False
        return True

    def _open(self) -> BinaryIO:
        return os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0)

    def _chunks(self, file: BinaryIO) -> Iterator[bytes]:
        left = self.size
        while left:
            chunk = file.read(min(CHUNK, left))
            if not chunk:
                raise SealiftError(f"{self.path}: ends {left} bytes early. Copy it again.")
            left -= len(chunk)
            yield chunk


def digest_of(content: bytes) -> Blob:
    """Name of and size of bytes in memory."""
    return Blob(digest=f"sha256:{hashlib.sha256(content).hexdigest()}", size=len(content))


def read_foreign(path: Path, limit: int) -> bytes:
    """Read a small file that others put there.

    + limit: bytes it may have

    Raises SealiftError where it is missing, too big, or is a link or device.
    """
    Content.of_file(path)
    return read_limited(path, limit)


def hash_content(content: Content, note: Callable[[int], None]) -> Blob:
    """Hash a range of a file.

    + note: told the bytes of each chunk
    """
    digest = hashlib.sha256()
    for chunk in content.chunks():
        digest.update(chunk)
        note(len(chunk))
    return Blob(digest=f"sha256:{digest.hexdigest()}", size=content.size)


def verify(content: Content, blob: Blob, where: str, note: Callable[[int], None]) -> None:
    """Hash content that is used where it lies.

    + blob: what it must be
    + where: what it belongs to, for messages
    + note: told the bytes of each chunk

    Raises SealiftError naming blob and place where size or hash differ.
    """
    _check_size(content, blob, where)
    _check_digest(hash_content(content, note).digest, blob, where)


def hashed(chunks: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    """The same chunks, each hashed in another thread while it is used and the next one is read.

    + digest: has them all when they are through
    """
    with ThreadPoolExecutor(1) as hasher:
        last: Future[None] | None = None
        for chunk in chunks:
            if last is not None:
                last.result()
            last = hasher.submit(digest.update, chunk)
            yield chunk


def verified(content: Content, blob: Blob, where: str) -> Iterator[bytes]:
    """The bytes of a blob, CHUNK at a time, hashed on the way: the last one is given before the verdict.

    + blob: what they must be
    + where: what they belong to, for messages

    Raises SealiftError naming blob and place where size or, at the end, hash differ.
    """
    _check_size(content, blob, where)
    digest = hashlib.sha256()
    yield from hashed(content.chunks(), digest)
    _check_digest(f"sha256:{digest.hexdigest()}", blob, where)


def _check_size(content: Content, blob: Blob, where: str) -> None:
    if content.size != blob.size:
        raise SealiftError(
            f"{where}: {blob.digest} has {content.size} bytes, expected {blob.size}. Copy it again."
        )


def _check_digest(found: str, blob: Blob, where: str) -> None:
    if found != blob.digest:
        raise SealiftError(f"{where}: {blob.digest} is damaged, its content is {found}. Copy it again.")
