"""What is unpacked or downloaded, on its way into the cache: whole and verified, or not there."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sealift.bundle.blobs import BlobStore, Content, hash_content
from sealift.errors import SealiftError
from sealift.files import sync_folder
from sealift.release.compression import compression, unpacked


class Arrivals:
    """The cache's way in. A file has its final name only when all of it is on the disk and was checked."""

    def __init__(self, root: Path) -> None:
        """Open the cache; nothing is made before something arrives.

        + root: folder of the cache
        """
        self._folder = BlobStore(root).folder
        self._coming = root / "coming"
        self._tarballs = root / "tarballs"

    def find(self, digest: str) -> Content | None:
        """Content that has arrived, by its digest."""
        path = self._folder / digest.removeprefix("sha256:")
        try:
            status = path.lstat()
        except FileNotFoundError:
            return None
        return Content(path, 0, status.st_size) if stat.S_ISREG(status.st_mode) else None

    def unpack(self, content: Content, digest: str, where: str) -> Content:
        """Unpack compressed content.

        + digest: what must come out of it
        + where: what it is, for messages

        Raises SealiftError where something else comes out.
        """
        final = self._folder / digest.removeprefix("sha256:")
        with self.alone(final) as file:
            if file is not None:
                found = _write(file, unpacked(content, where))
                if found != digest:
                    raise SealiftError(f"{where}: is {found}, expected {digest}. Get it again.")
                self.arrived(file, final)
        return Content.of_file(final)

    def plain_tarball(self, path: Path, note: Callable[[int], None]) -> Path:
        """The tarball itself, or what comes out of it where it is compressed: once, however often asked.

        + note: told the bytes of each chunk that is read to know it again

        Raises SealiftError where it is damaged.
        """
        if not path.is_file():
            return path
        content = Content(path.resolve(), 0, path.stat().st_size)
        if compression(content) is None:
            return path
        final = self._tarballs / hash_content(content, note).hex
        with self.alone(final) as file:
            if file is not None:
                _write(file, unpacked(content, str(path)))
                self.arrived(file, final)
        return final

    @contextmanager
    def alone(self, final: Path) -> Iterator[BinaryIO | None]:
        """Open what has come of a file so far, and let nobody else do; None where all of it is there.

        + final: where it will lie
        """
        if final.exists():
            yield None
            return
        try:
            self._coming.mkdir(parents=True, exist_ok=True)
            final.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._coming / final.name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            with os.fdopen(handle, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # let go of when the file is closed, however that happens
                yield None if final.exists() else file
        except OSError as error:
            raise SealiftError(
                f"{final.parent}: cannot be written: {error.strerror}. Mend that and run it again."
            ) from None

    def arrived(self, file: BinaryIO, final: Path) -> None:
        """Give a file its final name."""
        file.flush()
        os.fchmod(file.fileno(), 0o444)
        os.fsync(file.fileno())
        (self._coming / final.name).replace(final)
        sync_folder(final.parent)


def _write(file: BinaryIO, chunks: Iterator[bytes]) -> str:
    """Write from the start, and say the digest."""
    digest = hashlib.sha256()
    file.truncate(0)
    for chunk in chunks:
        digest.update(chunk)
        file.write(chunk)
    return f"sha256:{digest.hexdigest()}"
