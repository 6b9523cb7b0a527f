"""Putting a bundle together out of media: parts in any order, from several folders, over several passes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sealift.bundle import signature
from sealift.content import Content, digest_of
from sealift.errors import SealiftError
from sealift.files import locked, read_limited
from sealift.media.assembly import Assembly
from sealift.media.table import (
    BLOBS,
    SMALL_LIMIT,
    TABLE,
    TABLE_LIMIT,
    TABLE_SIGNATURE,
    Named,
    Table,
    parse_table,
)
from sealift.oci.layout import SIGNATURE_LIMIT
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
    + progress: told of bytes of parts read, and of those hashed once more

    Raises SealiftError where no table is signed by somebody on the list, the folders are of different media,
    or `out` cannot take the bundle. A bad part is no exception: it is among `problems` and `missing`.
    """
    media = find_media(folders, allowed_signers)
    try:
        _refuse_foreign(out, media.table)
        with locked(out, lambda: progress("waiting for another reader to end", 0, 0)):
            assembly = Assembly(out, media.table, media.content, progress)
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
    problems += [problem for folder in folders for problem in _check_scripts(folder, table)]
    return Media(table, content, signer, tuple(problems))


def _read(path: Path, limit: int) -> bytes:
    Content.of_file(path)  # a link is not followed, a pipe not waited for
    return read_limited(path, limit)


def _check_scripts(folder: Path, table: Table) -> list[str]:
    problems = []
    for script in table.scripts:
        path = folder / script.name
        try:
            if digest_of(_read(path, SMALL_LIMIT)) != script.blob:
                problems.append(f"{path}: was altered. Do not run it; write the media again.")
        except SealiftError as error:
            problems.append(str(error))
    return problems


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


def _take_parts(
    assembly: Assembly, folders: Sequence[Path], progress: Progress
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
