"""Ingredients that were made once, named by all that went into them.

An entry is a folder that appears by rename when it is complete, so whatever was killed is made again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sealift.files import canonical_json, locked, sync_folder

Tell = Callable[[str], None]
Build = Callable[[Path, Path], None]
"""Called with the folder to fill and a folder for what is not kept."""


@dataclass(frozen=True)
class Recipe:
    """How an ingredient is made."""

    name: str
    made_from: str  # for people
    inputs: Mapping[str, str]  # versions, and keys of other entries
    files: tuple[Path, ...]  # the code and data that make it: a change of them makes it again
    build: Build

    @property
    def key(self) -> str:
        """Name of its entry."""
        content = {
            "inputs": dict(self.inputs),
            "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self.files},
        }
        return f"{self.name}-{hashlib.sha256(canonical_json(content)).hexdigest()[:16]}"


def make(recipe: Recipe, cache: Path, tell: Tell) -> Path:
    """The entry of a recipe, built if the cache lacks it. Two processes never build the same one at once.

    + cache: folder of all entries
    + tell: takes a line for people: what it is, the time taken, what it is made from
    """
    entry = cache / recipe.key
    if entry.is_dir():
        tell(f"{recipe.name:<16} {'cached':>8}  {recipe.made_from}")
        return entry
    line = f"{recipe.name:<16} {'waiting':>8}  another process makes it"
    with locked(cache / ".locks" / recipe.name, lambda: tell(line)):
        if not entry.is_dir():
            start = time.monotonic()
            _build(recipe, cache)
            tell(f"{recipe.name:<16} {time.monotonic() - start:6.1f} s  {recipe.made_from}")
    return entry


def place(source: Path, target: Path) -> None:
    """Put a file of the cache, or a folder of files, into the sources folder: linked, or else copied.

    + target: its path there; what is there by that name is replaced
    """
    if source.is_dir():
        for child in sorted(source.iterdir()):
            place(child, target / child.name)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and _is_same(source, target):
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            raise
        shutil.copy2(source, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
    temporary.replace(target)
    sync_folder(target.parent)


def _is_same(source: Path, target: Path) -> bool:
    ours, theirs = source.stat(), target.stat()
    return os.path.samestat(ours, theirs) or (ours.st_size, ours.st_mtime_ns) == (
        theirs.st_size,
        theirs.st_mtime_ns,
    )


def _build(recipe: Recipe, cache: Path) -> None:
    prefix = f".partial.{recipe.name}."
    for leftover in cache.glob(f"{prefix}*"):
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=cache) as partial:
        result, work = Path(partial, "result"), Path(partial, "work")
        result.mkdir()
        work.mkdir()
        recipe.build(result, work)
        for path in result.rglob("*"):
            if path.is_file():
                path.chmod(0o555 if path.stat().st_mode & 0o100 else 0o444)  # links into it share its bytes
        os.sync()  # one by one would take a minute for Go's thousands of files
        result.rename(cache / recipe.key)
        sync_folder(cache)
