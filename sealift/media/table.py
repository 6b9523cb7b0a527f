"""What media carry, as a table of text lines: parts, and files of the bundle, each with its SHA-256.

The parts are the files one after the other, cut at a size. So where a file lies follows from the sizes alone:
nothing can overlap, and `tail -c` with `head -c` finds it too. It is text because sh reads it (RESCUE.txt)
and, before START.py is run, awk.

    sealift media 1
    rescue HEX BYTES RESCUE.txt
    start HEX BYTES START.py
    code HEX BYTES code.tar             the blob that START.py goes on in, where the release has `control`
    part HEX BYTES 0001.part            in order
    file HEX BYTES blobs/sha256/HEX     in the order of their bytes in the parts: a control node's come first
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sealift.blob import Blob
from sealift.errors import SealiftError
from sealift.oci.layout import INDEX, SIGNATURE
from sealift.sizes import parse_binary

TABLE = "TABLE.txt"
TABLE_SIGNATURE = "TABLE.txt.sig"
RESCUE = "RESCUE.txt"
START = "START.py"
CODE = "code.tar"
TABLE_LIMIT = 32 << 20  # bytes: some 200,000 files
SMALL_LIMIT = 16 << 20  # bytes of a file that is no blob, such as index.json
MOST_PARTS = 9999
# The largest file of FAT32. Source: Microsoft's FAT32 File System Specification 1.03, the field DIR_FileSize.
FAT32 = (4 << 30) - 1
BLOBS = "blobs/sha256/"

_HEAD = "sealift media 1"
_LINE = re.compile(r"(rescue|start|code|part|file) ([0-9a-f]{64}) (0|[1-9][0-9]{0,15}) (\S{1,100})", re.ASCII)
# of other files small letters only, so that no file system takes two for one, and no part or blob for a file
_PATH = re.compile(r"blobs/sha256/[0-9a-f]{64}|[a-z][a-z0-9._-]{0,40}", re.ASCII)
_RANGE = re.compile(r"([1-9][0-9]{0,3})(?:-([1-9][0-9]{0,3}))?", re.ASCII)
_KINDS = ("rescue", "start", "code", "part", "file")


@dataclass(frozen=True)
class Named:
    """A part or a file: its path, and what it must be."""

    name: str
    blob: Blob


@dataclass(frozen=True)
class Slice:
    """A piece of a file, in bytes, as it lies in a part."""

    file: Named
    offset: int
    size: int


@dataclass(frozen=True)
class Table:
    """What media carry."""

    rescue: Blob
    start: Blob
    code: Blob | None
    parts: tuple[Named, ...]
    files: tuple[Named, ...]

    @property
    def bundle(self) -> str:
        """Digest of the bundle: that of its index."""
        return next(file.blob.digest for file in self.files if file.name == INDEX)

    @property
    def scripts(self) -> tuple[Named, ...]:
        """What lies beside the parts to be run."""
        return (Named(RESCUE, self.rescue), Named(START, self.start))

    def slices(self) -> tuple[tuple[Slice, ...], ...]:
        """What lies in each part, in order."""
        return cut(self.files, [part.blob.size for part in self.parts])

    def remedy(self, part: Named) -> str:
        """What to do about a part that cannot be used."""
        size = max(part.blob.size for part in self.parts)
        number = int(part.name.partition(".")[0])
        return (
            "Have it written again where the bundle is: "
            f"sealift media write BUNDLE --size {size} --part {number} --key KEY DIR"
        )


def parse_size(text: str) -> int:
    """Bytes that a part may have.

    + text: `fat32`, bytes, or a number with M, G or T: MiB, GiB, TiB. FAT32 holds one byte less than 4 GiB,
      so 4G is that

    Raises SealiftError where it is none of these.
    """
    if text == "fat32":
        return FAT32
    size = parse_binary(text)
    if size is None:
        raise SealiftError(f"--size {text}: is no size, expected such as 700M, 4G or fat32. Correct it.")
    return FAT32 if size == FAT32 + 1 else size


def parse_parts(texts: Iterable[str]) -> frozenset[int]:
    """Numbers of parts.

    + texts: each a number such as 3, or a range such as 1-4

    Raises SealiftError where one is neither.
    """
    numbers: set[int] = set()
    for text in texts:
        match = _RANGE.fullmatch(text)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise SealiftError(f"--part {text}: is no part, expected such as 3 or 1-4. Correct it.")
        numbers.update(range(first, last + 1))
    return frozenset(numbers)


def part_sizes(files: Iterable[Named], size: int) -> list[int]:
    """Bytes of each part.

    + files: what is carried
    + size: bytes of a part at most

    Raises SealiftError where that makes too many parts.
    """
    total = sum(file.blob.size for file in files)
    count = -(-total // size)
    if count > MOST_PARTS:
        raise SealiftError(
            f"--size {size}: makes {count} parts of {total} bytes, expected {MOST_PARTS} at most. "
            "Name a larger size."
        )
    return [min(size, total - begin) for begin in range(0, total, size)]


def part_name(number: int) -> str:
    """Name of a part.

    + number: from 1 on
    """
    return f"{number:04}.part"


def cut(files: Iterable[Named], sizes: Sequence[int]) -> tuple[tuple[Slice, ...], ...]:
    """Where files lie in parts. An empty file lies in a part too, as a slice of no bytes.

    + sizes: bytes of each part; together those of the files
    """
    parts: list[list[Slice]] = [[] for _ in sizes]
    number, room = 0, sizes[0]
    for file in files:
        offset = 0
        while True:
            if room == 0 and number + 1 < len(sizes):
                number += 1
                room = sizes[number]
            size = min(file.blob.size - offset, room)
            parts[number].append(Slice(file, offset, size))
            offset, room = offset + size, room - size
            if offset == file.blob.size:
                break
    return tuple(map(tuple, parts))


def dump_table(table: Table) -> bytes:
    """The table as it is written and signed."""
    rescue, start = table.scripts
    named = {
        "rescue": (rescue,),
        "start": (start,),
        "code": (Named(CODE, table.code),) if table.code else (),
        "part": table.parts,
        "file": table.files,
    }
    lines = [
        f"{kind} {item.blob.hex} {item.blob.size} {item.name}"
        for kind, items in named.items()
        for item in items
    ]
    return "\n".join((_HEAD, *lines, "")).encode()


def parse_table(content: bytes, where: Path) -> Table:
    """Parse a foreign table. What it says is consistent then: no path leads out, nothing lies twice.

    + where: its file, for messages

    Raises SealiftError naming the first line that is not as it should be.
    """
    found: dict[str, list[Named]] = {kind: [] for kind in _KINDS}
    lines = content.decode("ascii", errors="replace").split("\n")
    if lines[0] != _HEAD or lines[-1] != "":
        raise _wrong(where, f"does not begin with '{_HEAD}' or does not end with a whole line")
    last = 0
    for number, line in enumerate(lines[1:-1], 2):
        match = _LINE.fullmatch(line)
        if match is None or _KINDS.index(match[1]) < last:
            raise _wrong(where, f"line {number} is none of a table, or in the wrong place")
        last = _KINDS.index(match[1])
        found[match[1]].append(Named(match[4], Blob(digest=f"sha256:{match[2]}", size=int(match[3]))))
    _check_scripts(found, where)
    _check_parts(found["part"], where)
    _check_files(found["file"], where)
    totals = [sum(item.blob.size for item in found[kind]) for kind in ("part", "file")]
    if totals[0] != totals[1]:
        raise _wrong(where, f"its parts have {totals[0]} bytes, its files {totals[1]}")
    return Table(
        rescue=found["rescue"][0].blob,
        start=found["start"][0].blob,
        code=found["code"][0].blob if found["code"] else None,
        parts=tuple(found["part"]),
        files=tuple(found["file"]),
    )


def _check_scripts(found: dict[str, list[Named]], where: Path) -> None:
    for kind, name in (("rescue", RESCUE), ("start", START)):
        if [item.name for item in found[kind]] != [name]:
            raise _wrong(where, f"does not name {name} once")
    if [item.name for item in found["code"]] not in ([], [CODE]):
        raise _wrong(where, f"names {CODE} twice, or by another name")


def _check_parts(parts: list[Named], where: Path) -> None:
    if not 0 < len(parts) <= MOST_PARTS:
        raise _wrong(where, f"has {len(parts)} parts, expected 1 to {MOST_PARTS}")
    for number, part in enumerate(parts, 1):
        if part.name != part_name(number) or part.blob.size == 0:
            raise _wrong(where, f"part {number} is empty or not named {part_name(number)}")


def _check_files(files: list[Named], where: Path) -> None:
    names = [file.name for file in files]
    if len(names) != len(set(names)):
        raise _wrong(where, "one of its files is there twice")
    for file in files:
        check_file(file, where)
    if not {INDEX, SIGNATURE} <= set(names):
        raise _wrong(where, f"carries no {INDEX} or no {SIGNATURE}")


def check_file(file: Named, where: Path) -> None:
    """Refuse what cannot be a file of a bundle.

    + where: who says so, for messages

    Raises SealiftError where its path leads elsewhere, a blob is not named by its digest, or else it is big.
    """
    if not _PATH.fullmatch(file.name) or file.name in ("blobs", "partial"):
        raise _wrong(where, f"{file.name!r} is no file of a bundle")
    if file.name.startswith(BLOBS):
        if file.name != BLOBS + file.blob.hex:
            raise _wrong(where, f"{file.name} is not named by its digest")
    elif file.blob.size > SMALL_LIMIT:
        raise _wrong(where, f"{file.name} has {file.blob.size} bytes, expected {SMALL_LIMIT} at most")


def _wrong(where: Path, what: str) -> SealiftError:
    return SealiftError(f"{where}: {what}. Have the media written again by sealift media write.")
