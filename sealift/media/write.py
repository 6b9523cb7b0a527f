"""Writing media: a signed bundle as parts of a given size. What is there and right is kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sealift.blob import Blob
from sealift.bundle import signature
from sealift.content import CHUNK, Content, digest_of
from sealift.errors import SealiftError
from sealift.files import locked, sync_folder, write_if_changed
from sealift.media.files import Carried, carried_files
from sealift.media.folder import UNFINISHED, make_room
from sealift.media.table import (
    RESCUE,
    START,
    TABLE,
    TABLE_SIGNATURE,
    Named,
    Slice,
    Table,
    cut,
    dump_table,
    part_name,
    part_sizes,
)
from sealift.progress import Meter, Progress

_FLUSH = 64 << 20  # bytes written before they must be on the medium: progress is the medium's, not memory's
# What lies beside the parts to be run; start.py is the one module that needs no other.
_INSTALL = Path(__file__).parents[1] / "install"
_SCRIPTS = {RESCUE: _INSTALL / RESCUE, START: _INSTALL / "start.py"}


@dataclass(frozen=True)
class Written:
    """What was done to a folder: the media's table, the parts written now, and those that were right."""

    table: Table
    written: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def table_digest(self) -> str:
        """SHA-256 of TABLE.txt, for a site that cannot check its signature yet."""
        return digest_of(dump_table(self.table)).hex


def write_media(
    bundle: Path, folder: Path, size: int, key: Path, only: frozenset[int], progress: Progress
) -> Written:
    """Write a bundle as parts. Each part there is read back: right ones are kept, others written again.

    The whole bundle is read, also for a single part: the table has every part's hash, and nothing that a
    medium says is signed.

    + bundle: a built bundle or a delta
    + folder: where to; parts of other media in it are removed, somebody's own files never
    + size: bytes of a part at most
    + key: OpenSSH key that signs the table: that of the release
    + only: numbers of the parts that the folder shall have, from 1 on; none: all of them
    + progress: told of bytes of the bundle

    Raises SealiftError where the bundle is damaged or the folder cannot take it.
    """
    carried = carried_files(bundle)
    sizes = part_sizes(carried.files, size)
    unknown = sorted(number for number in only if not 1 <= number <= len(sizes))
    if unknown:
        raise SealiftError(f"--part {unknown[0]}: there are parts 1 to {len(sizes)}. Correct the number.")
    signature.check_key(key)
    wanted = only or frozenset(range(1, len(sizes) + 1))
    try:
        with locked(folder, lambda: progress("waiting for another writer to end", 0, 0)):
            make_room(folder, carried.files, sizes, wanted)
            return _write(_Source(bundle, carried, sizes), folder, key, wanted, progress)
    except OSError as error:
        raise SealiftError(
            f"{error.filename or folder}: cannot be written: {error.strerror}. "
            "Mend that or take another medium, and run the command again."
        ) from None


class _Source:
    """The bundle as a stream of parts, its files checked against their digests on the way."""

    def __init__(self, bundle: Path, carried: Carried, sizes: list[int]) -> None:
        self.carried = carried
        self.sizes = sizes
        self._slices = cut(carried.files, sizes)
        self._bundle = bundle
        self._digest = hashlib.sha256()

    def checked(self, number: int) -> Iterator[bytes]:
        """A part's bytes; to be called for one part after the other, as files go on in the next one."""
        for piece in self._slices[number - 1]:
            if piece.offset == 0:
                self._digest = hashlib.sha256()
            for chunk in self._content(piece).chunks():
                self._digest.update(chunk)
                yield chunk
            whole = piece.offset + piece.size == piece.file.blob.size
            if whole and self._digest.hexdigest() != piece.file.blob.hex:
                raise SealiftError(
                    f"{self._bundle / piece.file.name}: is damaged. Remove it and build the bundle again."
                )

    def again(self, number: int) -> Iterator[bytes]:
        """A part's bytes once more."""
        for piece in self._slices[number - 1]:
            yield from self._content(piece).chunks()

    def _content(self, piece: Slice) -> Content:
        return Content(self._bundle / piece.file.name, piece.offset, piece.size)


def _write(source: _Source, folder: Path, key: Path, wanted: frozenset[int], progress: Progress) -> Written:
    meter = Meter("writing media", sum(source.sizes), progress)
    parts, written, kept = [], [], []
    for number, size in enumerate(source.sizes, 1):
        path = folder / part_name(number)
        if number not in wanted:
            digest = _hash(source.checked(number), lambda _: None, meter)
        elif path.exists():
            with path.open("rb") as file:
                comparison = _Comparison(file)
                digest = _hash(source.checked(number), comparison.add, meter)
            if comparison.same:
                kept.append(path.name)
            else:
                path.unlink()
                meter.expect(size)
                _put(path, source.again(number), meter)
                written.append(path.name)
        else:
            digest = _put(path, source.checked(number), meter)
            written.append(path.name)
        parts.append(Named(path.name, Blob(digest=f"sha256:{digest}", size=size)))
    scripts = {name: path.read_bytes() for name, path in _SCRIPTS.items()}
    for name, content in scripts.items():
        write_if_changed(folder / name, content)
    table = Table(
        rescue=digest_of(scripts[RESCUE]),
        start=digest_of(scripts[START]),
        code=source.carried.code,
        parts=tuple(parts),
        files=source.carried.files,
    )
    write_if_changed(folder / TABLE, dump_table(table))
    left = signature.left_at(folder / TABLE_SIGNATURE)
    write_if_changed(folder / TABLE_SIGNATURE, signature.renew(dump_table(table), left, key, progress))
    (folder / UNFINISHED).unlink()
    return Written(table, tuple(written), tuple(kept))


def _hash(chunks: Iterable[bytes], take: Callable[[bytes], None], meter: Meter) -> str:
    """The part's hash, made beside what is done with the bytes."""
    digest = hashlib.sha256()
    with ThreadPoolExecutor(1) as hasher:
        for chunk in chunks:
            hashed = hasher.submit(digest.update, chunk)
            take(chunk)
            hashed.result()
            meter.add(len(chunk))
    return digest.hexdigest()


class _Comparison:
    """Whether a part on a medium is the same as the bundle's bytes, read from the medium itself."""

    def __init__(self, file: BinaryIO) -> None:
        self.same = True
        self._file = file
        # Not out of the page cache, where what was just written is right however bad the medium is.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def add(self, chunk: bytes) -> None:
        """The next bytes that should be there."""
        try:
            self.same = self.same and self._file.read(len(chunk)) == chunk
        except OSError:  # the medium cannot be read there
            self.same = False


def _put(path: Path, chunks: Iterable[bytes], meter: Meter) -> str:
    """Write a part whole or not at all, and give its hash."""
    partial = path.with_name(f".{path.name}")
    try:
        with partial.open("wb", buffering=CHUNK) as file:

            def take(chunk: bytes) -> None:
                file.write(chunk)
                if file.tell() // _FLUSH != (file.tell() - len(chunk)) // _FLUSH:
                    os.fdatasync(file.fileno())

            digest = _hash(chunks, take, meter)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return digest
