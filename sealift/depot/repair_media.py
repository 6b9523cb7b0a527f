"""Media as a source of repairs. A blob's digest decides, so it does not matter who signed their table."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.content import Content, hash_content, read_foreign
from sealift.depot.repair import BlobFolder, RepairSource
from sealift.errors import SealiftError
from sealift.media.table import BLOBS, TABLE, TABLE_LIMIT, Named, Table, parse_table


@dataclass(frozen=True)
class _Piece:
    """A piece of a blob, in bytes, as it lies in a part."""

    part: Named
    begin: int
    size: int


def folder_sources(paths: Sequence[Path]) -> list[RepairSource]:
    """Sources of repairs: each bundle or folder of blobs, and behind them all media together.

    + paths: foreign
    """
    media = [path for path in paths if os.path.lexists(path / TABLE) or any(path.glob("[0-9]*.part"))]
    folders: list[RepairSource] = [BlobFolder(path) for path in paths if path not in media]
    return [*folders, MediaFolders(media)] if media else folders


class MediaFolders:
    """Media that are there at once; a blob that goes on from one to the next is put together out of both."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Read the tables; what is wrong with one is told when a blob is found in no other.

        + folders: the media; foreign
        """
        self._folders = folders
        self._problems: list[str] = []
        self._digests: dict[Path, str] = {}  # of parts that had to be hashed
        contents: dict[bytes, Path] = {}
        for folder in folders:
            try:
                contents.setdefault(read_foreign(folder / TABLE, TABLE_LIMIT), folder / TABLE)
            except SealiftError as error:
                self._problems.append(str(error))
        self._tables: list[tuple[Table, dict[str, list[_Piece]]]] = []
        for content, path in contents.items():
            try:
                table = parse_table(content, path)
                self._tables.append((table, _pieces(table)))
            except SealiftError as error:
                self._problems.append(str(error))

    def __str__(self) -> str:
        return ", ".join(map(str, self._folders))

    def restore(self, blob: Blob, store: BlobStore) -> bool:
        """Put the blob together; a `RepairSource`. A damaged part is good for what it has whole."""
        wrong = []
        for table, pieces in self._having(blob):
            try:
                copies = [self._copies(table, piece.part) for piece in pieces]
                with suppress(SealiftError):
                    self._put(blob, pieces, [paths[0] for paths in copies], store)
                    return True
                right = [
                    self._right(table, piece.part, paths) for piece, paths in zip(pieces, copies, strict=True)
                ]
                self._put(blob, pieces, right, store)
                return True
            except SealiftError as error:
                wrong.append(str(error))
        if wrong or self._problems:
            raise SealiftError("\n".join(wrong or self._problems))
        return False

    def _having(self, blob: Blob) -> Iterator[tuple[Table, list[_Piece]]]:
        for table, found in self._tables:
            pieces = found.get(blob.hex, [])
            if pieces and sum(piece.size for piece in pieces) == blob.size:
                yield table, pieces

    def _copies(self, table: Table, part: Named) -> list[Path]:
        """Where a part lies with its size. Raises SealiftError where that is nowhere."""
        found, wrong = [], []
        for path in (folder / part.name for folder in self._folders):
            if not os.path.lexists(path):
                continue
            try:
                size = Content.of_file(path).size
            except SealiftError as error:
                wrong.append(str(error))
                continue
            if size == part.blob.size:
                found.append(path)
            else:
                wrong.append(f"{path}: has {size} bytes, expected {part.blob.size}. {table.remedy(part)}")
        if not found:
            missing = f"{part.name}: is not in {self}. Name the medium that has it, too, with --repair-from."
            raise SealiftError("\n".join(wrong) or missing)
        return found

    def _right(self, table: Table, part: Named, copies: list[Path]) -> Path:
        """A copy of a part that is what the table says. Raises SealiftError where none is."""
        for path in copies:
            if self._digest(path) == part.blob.digest:
                return path
        raise SealiftError("\n".join(f"{path}: is damaged. {table.remedy(part)}" for path in copies))

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = ""
            with suppress(SealiftError):  # a medium that cannot be read there
                self._digests[path] = hash_content(Content.of_file(path), lambda _: None).digest
        return self._digests[path]

    def _put(self, blob: Blob, pieces: list[_Piece], parts: list[Path], store: BlobStore) -> None:
        store.partial.mkdir(parents=True, exist_ok=True)
        joined = store.partial / f"{blob.hex}.{os.getpid()}.joined"
        try:
            with joined.open("wb") as file:
                for piece, path in zip(pieces, parts, strict=True):
                    for chunk in Content(path, piece.begin, piece.size).chunks():
                        file.write(chunk)
            joined.chmod(0o444)
            store.take(blob, joined, str(self), lambda _: None)
        finally:
            joined.unlink(missing_ok=True)


def _pieces(table: Table) -> dict[str, list[_Piece]]:
    """Where each blob lies, by its hexadecimal digest."""
    found: dict[str, list[_Piece]] = defaultdict(list)
    for part, slices in zip(table.parts, table.slices(), strict=True):
        begin = 0
        for piece in slices:
            if piece.file.name.startswith(BLOBS):
                found[piece.file.blob.hex].append(_Piece(part, begin, piece.size))
            begin += piece.size
    return dict(found)
