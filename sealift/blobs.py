"""A folder of blobs named by their SHA-256, as in an OCI image layout, and how content gets into it."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from sealift.blob import Blob
from sealift.content import Content, digest_of, verified, verify
from sealift.errors import SealiftError
from sealift.files import sync_folder

_LONG_AGO = 24 * 3600  # seconds without a change


class BlobStore:
    """Blobs below `ROOT/blobs/sha256`. One that is there with its size is whole: names are given last."""

    def __init__(self, root: Path) -> None:
        """Open a store; nothing is made before something is put.

        + root: folder of an OCI image layout, a depot or a cache
        """
        self.folder = root / "blobs" / "sha256"
        self.partial = root / "partial"

    def path(self, blob: Blob) -> Path:
        """Where a blob lies, or would lie."""
        return self.folder / blob.hex

    def has(self, blob: Blob) -> bool:
        """Whether a blob is there with its size."""
        try:
            status = self.path(blob).lstat()
        except FileNotFoundError:
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == blob.size

    def put(self, blob: Blob, content: Content, where: str, note: Callable[[int], None]) -> None:
        """Copy content in, hashing it on the way; where the file system can share the bytes, none are copied.

        + blob: what it must be
        + where: what it belongs to, for messages
        + note: told the bytes of each chunk

        Raises SealiftError naming blob and place where size or hash differ; nothing is kept then.
        """
        with self._arriving(lambda: blob) as file:
            if content.clone(file):
                verify(Content(Path(file.name), 0, content.size), blob, where, note)
                return
            for chunk in verified(content, blob, where):
                file.write(chunk)
                # Begins to write it to the disk, so that the sync at the end has little to wait for.
                os.posix_fadvise(file.fileno(), file.tell() - len(chunk), len(chunk), os.POSIX_FADV_DONTNEED)
                note(len(chunk))

    def take(self, blob: Blob, path: Path, where: str, note: Callable[[int], None]) -> None:
        """Put a whole file in: as a second name of it where only we could write to it and nobody does.

        That is how stores leave their blobs, so a bundle on the same file system takes no more room.

        + path: the file; foreign. Other arguments and errors: as `put`
        """
        with self._partial() as partial:
            if _linked(path, partial):
                verify(Content.of_file(partial), blob, where, note)
                with partial.open("rb") as file:
                    os.fsync(file.fileno())
                partial.replace(self.path(blob))
                return
        self.put(blob, Content.of_file(path), where, note)

    def put_stream(self, chunks: Iterable[bytes]) -> Blob:
        """Put content in whose name shows only at its end, and say that name.

        Raises SealiftError where it cannot be written, and what `chunks` raises; nothing is kept then.
        """
        digest, size = hashlib.sha256(), 0

        def named() -> Blob:
            return Blob(digest=f"sha256:{digest.hexdigest()}", size=size)

        with self._arriving(named) as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
                size += len(chunk)
        return named()

    def put_bytes(self, content: bytes) -> Blob:
        """Put small content in, and say its name."""
        blob = digest_of(content)
        if not self.has(blob) or self.path(blob).read_bytes() != content:
            with self._arriving(lambda: blob) as file:
                file.write(content)
        return blob

    def link(self, blob: Blob, source: Path) -> bool:
        """Give a whole blob of another store of ours a second name here; False where that cannot be."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self.path(blob).unlink(missing_ok=True)
            self.path(blob).hardlink_to(source)
        except OSError:  # another file system, or one without hard links
            return False
        return True

    def keep_only(self, blobs: frozenset[str]) -> None:
        """Remove every other blob and what interrupted runs left.

        + blobs: hexadecimal digests
        """
        for path in self.folder.iterdir():
            if path.name not in blobs:
                path.unlink()
        self.sweep()

    def sweep(self) -> None:
        """Remove what interrupted runs left, and make the names of whole blobs last."""
        if self.partial.is_dir():
            shutil.rmtree(self.partial)
        if self.folder.is_dir():
            sync_folder(self.folder)

    def sweep_old(self) -> None:
        """Remove what runs left that were killed long ago, where others may be writing now, as in a cache."""
        for path in self.partial.glob("*"):
            with suppress(FileNotFoundError):  # of a run that has just ended
                # not when it was written: it may be a second name of an old file
                if path.stat().st_ctime < time.time() - _LONG_AGO:
                    path.unlink()

    @contextmanager
    def _arriving(self, named: Callable[[], Blob]) -> Iterator[BinaryIO]:
        """A file that gets its name when it is whole.

        + named: called at the end
        """
        with self._partial() as partial:
            with partial.open("xb") as file:
                yield file
                file.flush()
                os.fchmod(file.fileno(), 0o444)
                os.fsync(file.fileno())
            partial.replace(self.path(named()))

    @contextmanager
    def _partial(self) -> Iterator[Path]:
        """A path beside the blobs that nothing has; what is left there at the end is removed.

        No two calls have the same one: threads may bring the same blob in, and what a killed process left may
        be a second name of somebody's blob.
        """
        partial = self.partial / uuid4().hex
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.partial.mkdir(parents=True, exist_ok=True)
            yield partial
        except OSError as error:
            raise SealiftError(
                f"{self.folder}: cannot be written: {error.strerror}. Mend that and run it again."
            ) from None
        finally:
            partial.unlink(missing_ok=True)


def _linked(source: Path, name: Path) -> bool:
    """Give a file a second name if only we could write to it and nobody does; False where that is not so."""
    try:
        name.hardlink_to(source)
    except OSError:  # another file system, or one without hard links
        return False
    status = name.lstat()
    if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o222:
        return True
    name.unlink()
    return False
