"""Putting a bundle together out of media: parts in any order, from several folders, over several passes.

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
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sealift.blobs import Content, digest_of, hash_content
from sealift.bundle import signature
from sealift.bundle.layout import INDEX, SIGNATURE, SIGNATURE_LIMIT
from sealift.bundle.media_table import (
    BLOBS,
    RESCUE,
    SMALL_LIMIT,
    TABLE,
    TABLE_LIMIT,
    TABLE_SIGNATURE,
    Named,
    Slice,
    Table,
    parse_table,
)
from sealift.errors import SealiftError
from sealift.files import locked, read_limited, sync_folder, write_atomically
from sealift.progress import Meter, Progress


@dataclass(frozen=True)
class Media:
    """Media as their signed table describes them, and what was wrong with folders that hold them."""

    table: Table
    content: bytes  # the table's own bytes
    signer: str  # as the site's list of allowed signers names them
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Read:
    """What one pass did: parts taken in, parts that are still missing, and everything that was wrong."""

    media: Media
    taken: tuple[str, ...]
    missing: tuple[str, ...]
    problems: tuple[str, ...]


def read_media(folders: Sequence[Path], out: Path, allowed_signers: Path, progress: Progress) -> Read:
    """Take in every part that is there and right, and finish the bundle once none is missing.

    + folders: media, or copies of them; foreign until verified
    + out: the bundle's folder; what an earlier pass put there is kept
    + allowed_signers: the site's list
    + progress: told of bytes of parts read

    Raises SealiftError where no table is signed by somebody on the list, the folders are of different media,
    or `out` cannot take the bundle. A bad part is no exception: it is among `problems` and `missing`.
    """
    media = find_media(folders, allowed_signers)
    try:
        _refuse_foreign(out, media.table)
        with locked(out, lambda: progress("waiting for another reader to end", 0, 0)):
            assembly = _Assembly(out, media)
            taken, problems = _take_parts(assembly, folders, progress)
            missing = tuple(part.name for part in assembly.needed())
            if not missing:
                assembly.finish()
    except OSError as error:
        raise SealiftError(
            f"{error.filename or out}: {error.strerror}. Mend that and run the command again: "
            "it goes on where it stopped."
        ) from None
    return Read(media, taken, missing, media.problems + problems)


def find_media(folders: Sequence[Path], allowed_signers: Path) -> Media:
    """The one table that the folders hold, its signature verified before it is parsed.

    Raises SealiftError where there is none that is signed by somebody on the list, or there are two.
    """
    found: dict[bytes, tuple[str, Path]] = {}
    problems = []
    for folder in folders:
        try:
            content = _read(folder / TABLE, TABLE_LIMIT)
            proof = _read(folder / TABLE_SIGNATURE, SIGNATURE_LIMIT)
            found[content] = (
                signature.verify(content, proof, allowed_signers, where=str(folder / TABLE)),
                folder,
            )
        except SealiftError as error:
            problems.append(str(error))
    if not found:
        raise SealiftError("\n".join(problems))
    if len(found) > 1:
        names = " and ".join(str(folder) for _, folder in found.values())
        raise SealiftError(f"{names}: are of different media. Read those of one bundle at a time.")
    content, (signer, folder) = found.popitem()
    table = parse_table(content, folder / TABLE)
    problems += [problem for folder in folders for problem in _check_rescue(folder, table)]
    return Media(table, content, signer, tuple(problems))


def _read(path: Path, limit: int) -> bytes:
    Content.of_file(path)  # a link is not followed, a pipe not waited for
    return read_limited(path, limit)


def _check_rescue(folder: Path, table: Table) -> list[str]:
    try:
        right = digest_of(_read(folder / RESCUE, SMALL_LIMIT)) == table.rescue
    except SealiftError as error:
        return [str(error)]
    return [] if right else [f"{folder / RESCUE}: was altered. Do not run it; write the media again."]


def _refuse_foreign(out: Path, table: Table) -> None:
    """Never mix a bundle with another one, or with somebody's own files."""
    if not out.exists():
        return
    own = {"blobs", "partial", *(file.name for file in table.files)}
    foreign = sorted(path.name for path in out.iterdir() if path.name not in own) if out.is_dir() else [""]
    if foreign or not all(_is_free(out, file) for file in table.files if not file.name.startswith(BLOBS)):
        what = f"has {foreign[0]} in it" if foreign and foreign[0] else "is there"
        raise SealiftError(f"{out}: {what} and is not a copy of this bundle. Name an empty folder.")


def _is_free(out: Path, file: Named) -> bool:
    path = out / file.name
    return not os.path.lexists(path) or digest_of(_read(path, SMALL_LIMIT)) == file.blob


class _Assembly:
    """A bundle that is being put together in its folder."""

    def __init__(self, out: Path, media: Media) -> None:
        self.table = media.table
        self._out = out
        self._partial = out / "partial"
        self._slices = dict(zip(self.table.parts, self.table.slices(), strict=True))
        self._parts_of: dict[Named, list[Named]] = {}
        for part, pieces in self._slices.items():
            for piece in pieces:
                self._parts_of.setdefault(piece.file, []).append(part)
        (out / BLOBS).mkdir(parents=True, exist_ok=True)
        self._begin(media.content)
        self._check_disk()
        self._place(self.table.files)  # where an earlier run was killed before it did

    def _begin(self, content: bytes) -> None:
        """Go on with the same media. Of others only whole blobs are of use."""
        saved = self._partial / TABLE
        if saved.exists() and read_limited(saved, TABLE_LIMIT) != content:
            shutil.rmtree(self._partial)
        if not saved.exists() and not all(map(self._is_placed, self.table.files)):
            shutil.rmtree(self._partial, ignore_errors=True)
            write_atomically(saved, content)

    def _check_disk(self) -> None:
        missing = [file for file in self.table.files if not self._is_placed(file)]
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
            right = hash_content(Content.of_file(partial), lambda _: None) == file.blob
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


def _take_parts(
    assembly: _Assembly, folders: Sequence[Path], progress: Progress
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Try each needed part in each folder that has it. Gives the parts taken in and what was wrong."""
    there = [
        (part, holders)
        for part in assembly.needed()
        if (holders := [folder for folder in folders if os.path.lexists(folder / part.name)])
    ]
    meter = Meter("reading media", sum(part.blob.size for part, _ in there), progress)
    taken, problems = [], []
    for part, holders in there:
        for folder in holders:
            try:
                assembly.copy(part, folder, meter)
            except SealiftError as error:
                problems.append(
                    f"{folder}: part {part.name} is damaged: {error} {assembly.table.remedy(part)}"
                )
                meter.expect(part.blob.size)
            else:
                assembly.keep(part)
                taken.append(part.name)
                break
    return tuple(taken), tuple(problems)
