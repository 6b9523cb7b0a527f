"""A bundle that is being put together out of parts, in its folder.

What was put together so far lies in the bundle's folder:

    partial/TABLE.txt        the media that it is being read from
    partial/NNNN.part        empty: this part was right, and its bytes are on the disk
    partial/HEX              a blob that is not whole yet, its bytes in their places
    blobs/sha256/HEX         a whole blob, hashed once more after it was put together
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sealift.content import Content, hash_content
from sealift.errors import SealiftError
from sealift.files import read_limited, sync_folder, write_atomically
from sealift.media.table import BLOBS, TABLE, TABLE_LIMIT, Named, Slice, Table
from sealift.oci.layout import INDEX, SIGNATURE
from sealift.progress import Meter, Progress


class Assembly:
    """A bundle that is being put together; what an earlier pass did is taken up."""

    def __init__(self, out: Path, table: Table, content: bytes, progress: Progress) -> None:
        """Begin, or go on.

        + out: the bundle's folder, held alone
        + table: of the media, verified
        + content: its own bytes
        + progress: told of bytes hashed once they are put together

        Raises SealiftError where there is no room.
        """
        self.table = table
        self._out = out
        self._partial = out / "partial"
        self._slices = dict(zip(self.table.parts, self.table.slices(), strict=True))
        self._parts_of: dict[Named, list[Named]] = {}
        for part, pieces in self._slices.items():
            for piece in pieces:
                self._parts_of.setdefault(piece.file, []).append(part)
        (out / BLOBS).mkdir(parents=True, exist_ok=True)
        self._begin(content)
        missing = [file for file in table.files if not self._is_placed(file)]
        self._check_disk(missing)
        self._meter = Meter(
            "hashing what was put together", sum(file.blob.size for file in missing), progress
        )
        self._place(self.table.files)  # where an earlier run was killed before it did

    def _begin(self, content: bytes) -> None:
        """Go on with the same media. Of others only whole blobs are of use."""
        saved = self._partial / TABLE
        if saved.exists() and read_limited(saved, TABLE_LIMIT) != content:
            shutil.rmtree(self._partial)
        if not saved.exists() and not all(map(self._is_placed, self.table.files)):
            shutil.rmtree(self._partial, ignore_errors=True)
            write_atomically(saved, content)

    def _check_disk(self, missing: list[Named]) -> None:
        there = sum(
            self._whole(file).stat().st_blocks * 512 for file in missing if self._whole(file).exists()
        )
        needed, free = sum(file.blob.size for file in missing) - there, shutil.disk_usage(self._out).free
        if needed > free:
            raise SealiftError(
                f"{self._out}: has {free} bytes free, expected {needed}. Make room or name another folder."
            )

    def needed(self) -> list[Named]:
        """Parts that were not taken in yet and have in them what is not in its place."""
        return [
            part
            for part, pieces in self._slices.items()
            if not self._is_done(part) and not all(self._is_placed(piece.file) for piece in pieces)
        ]

    def copy(self, part: Named, folder: Path, meter: Meter) -> None:
        """Copy a part's bytes to their places, hashing them on the way. They count for nothing until kept.

        Raises SealiftError where the part is not what the table says.
        """
        size = Content.of_file(folder / part.name).size
        if size != part.blob.size:
            raise SealiftError(f"has {size} bytes, expected {part.blob.size}.")
        digest = hashlib.sha256()
        begin = 0
        with ThreadPoolExecutor(1) as hasher:
            for piece in self._slices[part]:
                chunks = Content(folder / part.name, begin, piece.size).chunks()
                self._fill(piece, _hashed(chunks, digest, hasher, meter))
                begin += piece.size
        if digest.hexdigest() != part.blob.hex:
            raise SealiftError(f"its hash is {digest.hexdigest()}, expected {part.blob.hex}.")

    def keep(self, part: Named) -> None:
        """Remember that a part was right, and name the blobs that are whole now."""
        sync_folder(self._partial)
        write_atomically(self._partial / part.name, b"")
        self._place(piece.file for piece in self._slices[part])

    def finish(self) -> None:
        """Give the bundle its index and signature, last of all: half of one must not look whole."""
        for file in sorted(self.table.files, key=lambda file: (file.name == SIGNATURE, file.name == INDEX)):
            if not self._is_placed(file):
                self._move(file)
        sync_folder(self._out)
        if self._partial.exists():
            shutil.rmtree(self._partial)

    def _place(self, files: Iterable[Named]) -> None:
        """Hash blobs of which every part is there, and give them their names."""
        for file in files:
            if (
                file.name.startswith(BLOBS)
                and not self._is_placed(file)
                and all(map(self._is_done, self._parts_of[file]))
            ):
                self._move(file)
        sync_folder(self._out / BLOBS)

    def _move(self, file: Named) -> None:
        partial = self._whole(file)
        try:
            right = hash_content(Content.of_file(partial), self._meter.add) == file.blob
        except SealiftError:
            right = False
        if not right:
            partial.unlink(missing_ok=True)
            for part in self._parts_of[file]:
                (self._partial / part.name).unlink(missing_ok=True)
            raise SealiftError(
                f"{self._out / file.name}: is not {file.blob.digest}, though every part of it was right. "
                "Run the command again; if it says the same, and the disk is good, build the bundle and "
                "write the media again."
            )
        partial.chmod(0o444 if file.name.startswith(BLOBS) else 0o644)
        partial.replace(self._out / file.name)

    def _fill(self, piece: Slice, chunks: Iterator[bytes]) -> None:
        """Write a slice's bytes to their place in its file; of a file that is whole they are only read."""
        if self._is_placed(piece.file):
            for _ in chunks:
                pass
            return
        handle = os.open(self._whole(piece.file), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        with os.fdopen(handle, "wb") as file:
            file.seek(piece.offset)
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fdatasync(handle)

    def _whole(self, file: Named) -> Path:
        return self._partial / file.name.removeprefix(BLOBS)

    def _is_done(self, part: Named) -> bool:
        return (self._partial / part.name).exists()

    def _is_placed(self, file: Named) -> bool:
        path = self._out / file.name
        return path.is_file() and not path.is_symlink() and path.stat().st_size == file.blob.size


def _hashed(
    chunks: Iterable[bytes], digest: hashlib._Hash, hasher: ThreadPoolExecutor, meter: Meter
) -> Iterator[bytes]:
    """The same chunks, each hashed in the other thread while it is being used."""
    for chunk in chunks:
        done = hasher.submit(digest.update, chunk)
        yield chunk
        done.result()
        meter.add(len(chunk))
