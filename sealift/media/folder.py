"""The folder that media are written into: what in it is ours, and whether what is to be written fits."""

from __future__ import annotations

import errno
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from sealift.content import Content
from sealift.errors import SealiftError
from sealift.files import read_limited, sync_folder
from sealift.media.table import (
    RESCUE,
    START,
    TABLE,
    TABLE_LIMIT,
    Named,
    Table,
    parse_table,
    part_name,
)

UNFINISHED = ".sealift-media"  # here from before the first part until the table is: the parts are ours
_PART_GLOB = "[0-9]" * 4 + ".part"


def make_room(folder: Path, files: tuple[Named, ...], sizes: list[int], wanted: frozenset[int]) -> None:
    """Remove what is of other media or unfinished, once it is certain that all parts will fit.

    + folder: held alone
    + files: what the media will carry
    + sizes: bytes of each part
    + wanted: numbers of the parts that the folder shall have

    Raises SealiftError where they do not fit, or parts are there that may be somebody's own.
    """
    stale = _stale(folder, files, sizes)
    _check_room(folder, sizes, wanted, stale)
    _check_largest(folder, max(sizes))
    (folder / UNFINISHED).touch()
    sync_folder(folder)
    for path in stale:
        path.unlink(missing_ok=True)  # the probe of a killed run is gone with ours


def _stale(folder: Path, files: tuple[Named, ...], sizes: list[int]) -> list[Path]:
    """What has to go: parts that cannot be among these, the table of other media, unfinished files."""
    table = _table(folder)
    parts = sorted(folder.glob(_PART_GLOB))
    _refuse_foreign(folder, parts, table)
    unfinished = (_PART_GLOB, f"{TABLE}*", f"{RESCUE}*", f"{START}*")
    stale = [path for own in unfinished for path in folder.glob(f".{own}")]
    if table and not (table.files == files and [part.blob.size for part in table.parts] == sizes):
        return [*stale, *parts, folder / TABLE]
    right = {part_name(number): size for number, size in enumerate(sizes, 1)}
    return [*stale, *(path for path in parts if _size(path) != right.get(path.name))]


def _table(folder: Path) -> Table | None:
    try:
        return parse_table(read_limited(folder / TABLE, TABLE_LIMIT), folder / TABLE)
    except SealiftError:
        return None


def _refuse_foreign(folder: Path, parts: Iterable[Path], table: Table | None) -> None:
    """Never remove somebody's own: what our table does not name, unless it was begun by a write of ours."""
    if (folder / UNFINISHED).exists():
        return
    named = {part.name for part in table.parts} if table else set()
    if foreign := [path.name for path in parts if path.name not in named]:
        more = f" and {len(foreign) - 1} more like it" if len(foreign) > 1 else ""
        raise SealiftError(
            f"{folder / foreign[0]}: is there{more}, and no {TABLE} that names it, "
            "so it may be somebody's own. Move or remove it, or name another folder."
        )


def _check_room(folder: Path, sizes: list[int], wanted: frozenset[int], stale: list[Path]) -> None:
    gone = set(stale)
    there = {path.name for path in folder.glob(_PART_GLOB) if path not in gone}
    missing = [number for number in sorted(wanted) if part_name(number) not in there]
    needed = sum(sizes[number - 1] for number in missing)
    room = shutil.disk_usage(folder).free + sum(map(_freed, stale))
    if needed <= room:
        return
    fitting = sum(sum(sizes[n - 1] for n in missing[: i + 1]) <= room for i in range(len(missing)))
    advice = "Take a larger medium or a smaller --size."
    if fitting:
        some = missing[0] if fitting == 1 else f"{missing[0]}-{missing[fitting - 1]}"
        advice = f"Write --part {some} here, and the others to other media."
    raise SealiftError(f"{folder}: has room for {room} bytes, expected {needed}. {advice}")


def _freed(path: Path) -> int:
    """Bytes that the disk has more without a file; one with other names frees none."""
    status = path.lstat()
    return status.st_blocks * 512 if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 else 0


def _size(path: Path) -> int:
    try:
        return Content.of_file(path).size
    except SealiftError:
        return -1


def _check_largest(folder: Path, size: int) -> None:
    """A file system refuses to seek beyond its largest file; no byte need be written to learn that."""
    probe = folder / f".{part_name(0)}"
    with probe.open("wb") as file:
        try:
            file.seek(size)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise SealiftError(
                f"{folder}: its file system takes no files of {size} bytes. Use --size fat32."
            ) from None
        finally:
            probe.unlink()
