"""Reading gzip and zstd without believing how much comes out of them.

Sources of the formats: RFC 1952 and RFC 8878.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Literal, cast

import zstandard

from sealift.content import CHUNK, Content
from sealift.errors import SealiftError

Kind = Literal["gzip", "zstd"]

_MAGIC: dict[Kind, bytes] = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
_WINDOW = 128 << 20  # bytes of memory that zstd may ask for: that of its --long
# Programs and weights shrink to a third, text to a tenth. What grows more than this was made to fill a disk.
RATIO = 200
FLOOR = 64 << 20  # bytes that may come out of anything: a file of zeros is no harm while it is small


def compression(content: Content) -> Kind | None:
    """What a file is compressed with, by its first bytes; None for anything else."""
    start = b"".join(Content(content.path, content.offset, min(content.size, 4)).chunks())
    return next((kind for kind, magic in _MAGIC.items() if start.startswith(magic)), None)


def unpacked(content: Content, where: str) -> Iterator[bytes]:
    """What comes out of compressed content, a chunk at a time; other content as it is.

    + where: what it is, for messages

    Raises SealiftError where it is damaged, or more comes out of it than can be meant.
    """
    kind = compression(content)
    if kind is None:
        yield from content.chunks()
        return
    left = FLOOR + content.size * RATIO
    try:
        file = _reader(kind, io.BufferedReader(_Stream(content), CHUNK))
        while chunk := file.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                raise SealiftError(
                    f"{where}: grows to more than {RATIO} times its {content.size} bytes. Refuse this file."
                )
            yield chunk
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise SealiftError(f"{where}: is damaged ({error}). Copy it again.") from None


def _reader(kind: Kind, raw: io.BufferedReader) -> BinaryIO:
    if kind == "gzip":
        return cast("BinaryIO", gzip.GzipFile(fileobj=raw))
    reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    return reader.stream_reader(raw, read_size=CHUNK, read_across_frames=True)


class _Stream(io.RawIOBase):
    """Content as Python's decompressors want it."""

    def __init__(self, content: Content) -> None:
        self._chunks = content.chunks()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed has any buffer here
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
