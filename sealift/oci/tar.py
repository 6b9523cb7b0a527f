"""tar files in which the same input always gives the same bytes: all owned by root, all of one date.

Source of the format: pax(1) of POSIX, which has room for files of 8 GiB and more where plain ustar has none.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_END = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class Member:
    """A file of a tar file with its size in bytes, or a folder where `chunks` is None."""

    name: str
    chunks: Iterable[bytes] | None = None
    size: int = 0
    executable: bool = False

    @classmethod
    def of_bytes(cls, name: str, content: bytes) -> Member:
        """A small file."""
        return cls(name, (content,), len(content))


def tar_chunks(members: Iterable[Member], time: int = 0) -> Iterator[bytes]:
    """A tar file piece by piece, never all of it in memory.

    + members: in the order in which they are written
    + time: of all of them, seconds since 1970
    """
    for member in members:
        entry = tarfile.TarInfo(member.name)
        entry.mtime, entry.size, entry.mode = time, member.size, 0o755 if member.executable else 0o644
        if member.chunks is None:
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        yield entry.tobuf(tarfile.PAX_FORMAT)
        yield from member.chunks or ()
        yield bytes(-member.size % tarfile.BLOCKSIZE)
    yield _END
