"""What is unpacked or downloaded, on its way into the cache: whole and verified, or not there."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.content import CHUNK, Content, hash_content
from sealift.errors import SealiftError
from sealift.files import sync_folder
from sealift.progress import Meter, Progress, silent
from sealift.sources.compression import compression, unpacked

PAUSE = 0.25  # seconds before another attempt; twice as long before each further one

_CUTS = 6  # breaks without a byte between them

# start and end in bytes -> from where it really starts, and the bytes from there
Read = Callable[[int, int], AbstractContextManager[tuple[int, Iterator[bytes]]]]


class CutError(Exception):
    """A connection broke; what came until then is good."""


class Arrivals:
    """The cache's way in. A file has its final name only when all of it is on the disk and was checked."""

    def __init__(self, root: Path, progress: Progress = silent) -> None:
        """Open the cache; nothing is made before something arrives.

        + root: folder of the cache
        + progress: told of waiting for another one who fetches the same
        """
        self._progress = progress
        self._store = BlobStore(root)
        self._coming = root / "coming"
        self._tarballs = root / "tarballs"

    def find(self, digest: str) -> Content | None:
        """Content that has arrived, by its digest."""
        path = self._store.folder / digest.removeprefix("sha256:")
        try:
            status = path.lstat()
        except FileNotFoundError:
            return None
        return Content(path, 0, status.st_size) if stat.S_ISREG(status.st_mode) else None

    def whole(self, digest: str, progress: Progress) -> Content | None:
        """As `find`, but hashed, for who pins what is found; what rotted is removed, to be fetched again.

        + progress: told of bytes hashed
        """
        found = self.find(digest)
        if found is None:
            return None
        meter = Meter(f"hashing {digest[:19]}, which is there", found.size, progress)
        with found.path.open("rb") as file:
            if hash_content(found, meter.add).digest == digest:
                return found
            if _is_at(file, found.path):  # not what another thread has fetched in its place meanwhile
                found.path.unlink()
        return None

    def unpack(self, fetch: Callable[[], Content], digest: str, where: str, *, keep: bool) -> Content:
        """Unpack compressed content. Whoever wants the same meanwhile waits for it, and fetches nothing.

        + fetch: gets what is compressed
        + digest: what must come out of it
        + where: what it is, for messages
        + keep: whether what was compressed stays

        Raises SealiftError where something else comes out.
        """
        final = self._store.folder / digest.removeprefix("sha256:")
        with self._alone(final) as file:
            if file is not None:
                content = fetch()
                found = _write(file, unpacked(content, where))
                if found != digest:
                    raise SealiftError(f"{where}: is {found}, expected {digest}. Get it again.")
                self._arrived(file, final)
                if not keep:
                    content.path.unlink(missing_ok=True)
        return Content.of_file(final)

    def plain_tarball(self, path: Path, progress: Progress, *, pins: bool) -> Path:
        """The tarball itself, or what comes out of it where it is compressed: once, however often asked.

        + progress: told of bytes hashed
        + pins: what was unpacked earlier is hashed again, as in `whole`, for who pins what is in it

        Raises SealiftError where it is damaged.
        """
        if not path.is_file():
            return path
        content = Content(path.resolve(), 0, path.stat().st_size)
        if compression(content) is None:
            return path
        meter = Meter(f"hashing {path.name}", content.size, progress)
        record = self._tarballs / hash_content(content, meter.add).hex
        find = partial(self.whole, progress=progress) if pins else self.find
        while (digest := _recorded(record)) is None or (found := find(digest)) is None:
            record.unlink(missing_ok=True)
            with self._alone(record) as file:
                if file is not None:
                    plain = self._store.put_stream(unpacked(content, str(path)))
                    file.truncate(0)
                    file.write(plain.digest.encode())
                    self._arrived(file, record)
            find = self.find  # it was hashed just now
        return found.path

    def keep(self, content: bytes) -> Content:
        """Put small content into the cache."""
        return Content.of_file(self._store.path(self._store.put_bytes(content)))

    def download(
        self,
        blob: Blob,
        read: Read,
        where: str,
        note: Callable[[int], None],
        remedy: str = "Try again.",
    ) -> Content:
        """Fetch a blob, hashing it as it comes; what an interrupted run fetched is not fetched again.

        + where: what it is, for messages
        + note: told the bytes of each chunk
        + remedy: what to do where it is not what was asked for

        Raises SealiftError where it is not what was asked for, or the connection breaks too often.
        """
        final = self._store.path(blob)
        with self._alone(final) as file:
            if file is not None:
                was_begun = os.fstat(file.fileno()).st_size > 0
                digest = _go_on(file, blob, blob.size, read, where, note)
                # of what a power cut left, the end may never have been written
                if digest != blob.digest and was_begun:
                    file.truncate(0)
                    note(-blob.size)
                    digest = _go_on(file, blob, blob.size, read, where, note)
                if digest != blob.digest:
                    file.truncate(0)
                    raise SealiftError(
                        f"{where}: {blob.digest} is damaged, its content is {digest}. {remedy}"
                    )
                self._arrived(file, final)
        return Content.of_file(final)

    def beginning(self, blob: Blob, count: int, read: Read, where: str) -> Content:
        """Fetch the first bytes of a blob; `download` goes on after them. They are not verified.

        + count: bytes wanted at least; fewer come where the blob has fewer

        Raises SealiftError as `download` does.
        """
        final = self._store.path(blob)
        with self._alone(final) as file:
            if file is None:
                return Content.of_file(final)
            _go_on(file, blob, min(count, blob.size), read, where, lambda _: None)
            return Content(self._coming / final.name, 0, file.tell())

    @contextmanager
    def _alone(self, final: Path) -> Iterator[BinaryIO | None]:
        """Open what has come of a file so far, and let nobody else do; None where all of it is there.

        + final: where it will lie
        """
        coming = self._coming / final.name
        try:
            self._coming.mkdir(parents=True, exist_ok=True)
            final.parent.mkdir(parents=True, exist_ok=True)
            while not final.exists():
                handle = os.open(coming, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
                with os.fdopen(handle, "r+b") as file:
                    # let go of when the file is closed, however that happens
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        self._progress(f"waiting for another to fetch {final.name[:12]}", 0, 0)
                        fcntl.flock(file, fcntl.LOCK_EX)
                    if _is_at(file, coming):
                        yield file
                        return
            yield None
        except OSError as error:
            raise SealiftError(
                f"{final.parent}: cannot be written: {error.strerror}. Mend that and run it again."
            ) from None

    def _arrived(self, file: BinaryIO, final: Path) -> None:
        """Give a file its final name."""
        file.flush()
        os.fchmod(file.fileno(), 0o444)
        os.fsync(file.fileno())
        (self._coming / final.name).replace(final)
        sync_folder(final.parent)


def _recorded(record: Path) -> str | None:
    """The digest that a record holds; None where it is missing or damaged."""
    with suppress(FileNotFoundError), record.open("rb") as file:
        said = file.read(128).decode(errors="replace")
        return said if re.fullmatch("sha256:[0-9a-f]{64}", said) else None
    return None


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether an open file has its name still: while we waited for it, it may have got its final one."""
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())


def _go_on(file: BinaryIO, blob: Blob, end: int, read: Read, where: str, note: Callable[[int], None]) -> str:
    """Read what is there, fetch the rest, and say the digest. The file's position is its end then."""
    if os.fstat(file.fileno()).st_size > blob.size:
        file.truncate(0)
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        note(len(chunk))
    cuts, furthest = 0, file.tell()
    while file.tell() < end:
        before = file.tell()
        try:
            with read(before, end) as (start, chunks):
                if start != before:  # a server that knows no ranges
                    file.seek(0)
                    file.truncate()
                    digest = hashlib.sha256()
                    note(-before)
                for chunk in chunks:
                    if file.tell() + len(chunk) > blob.size:
                        raise SealiftError(
                            f"{where}: {blob.digest} has more than {blob.size} bytes. Try again."
                        )
                    digest.update(chunk)
                    file.write(chunk)
                    note(len(chunk))
                    if file.tell() >= end:
                        break
        except CutError:
            pass  # counted below, as an answer that ends early is
        cuts = 0 if file.tell() > furthest else cuts + 1  # a server without ranges begins anew each time
        furthest = max(furthest, file.tell())
        if cuts == _CUTS:
            raise SealiftError(
                f"{where}: the connection breaks again and again. "
                "Run it again later, it goes on where it stopped."
            )
        if file.tell() < end:
            time.sleep(PAUSE * 2**cuts)
    return f"sha256:{digest.hexdigest()}"


def _write(file: BinaryIO, chunks: Iterator[bytes]) -> str:
    """Write from the start, and say the digest."""
    digest = hashlib.sha256()
    file.truncate(0)
    try:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
    except BaseException:
        file.truncate(0)  # what was made to fill a disk does not stay there
        raise
    return f"sha256:{digest.hexdigest()}"
