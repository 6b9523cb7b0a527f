"""What every kind of source of images, models and files can do, and what it is given of the build machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from sealift.blob import Blob
from sealift.cache import cache_folder
from sealift.content import Content
from sealift.errors import SealiftError
from sealift.progress import Progress
from sealift.sources.arrivals import Arrivals

# A blob of what was opened -> where its bytes lie, fetched if need be. Threads may ask side by side; whoever
# copies the bytes verifies them. Raises SealiftError where the source no longer has what was locked.
Find = Callable[[Blob], Content]

CHECK_FILE = "Ask its publisher which SHA-256 it has; correct sha256, or lock it again."

_Locked = TypeVar("_Locked")


@dataclass(frozen=True)
class BuildMachine:
    """Where releases are locked and built: nothing of it gets into a lock.

    + sources: the folder that paths in a release are relative to
    + arrivals: the cache
    + progress: told of bytes hashed and downloaded
    + environment: of the process, for mirrors, and logins of registries
    """

    sources: Path
    arrivals: Arrivals
    progress: Progress
    environment: Mapping[str, str]

    @classmethod
    def of(cls, environment: Mapping[str, str], sources: Path, progress: Progress) -> BuildMachine:
        """This machine, as a process's environment has it."""
        return cls(sources, Arrivals(cache_folder(environment), progress), progress, environment)

    def below(self, relative: str, where: str) -> Path:
        """A path below the sources folder.

        + where: who names it, for messages

        Raises SealiftError where `..` or a link leads out of it.
        """
        path = self.sources / relative
        real = Path(os.path.realpath(path))
        if relative.startswith("..") or not real.is_relative_to(self.sources.resolve()):
            raise SealiftError(
                f"{where}: {relative[:80]} leads out of the sources folder {self.sources}. Copy it there."
            )
        return path


class Source(Protocol[_Locked]):
    """Where an image, a model or a file comes from."""

    def lock(self) -> _Locked:
        """Pin it. Raises SealiftError naming what is missing, damaged or for another machine."""

    def open(self, locked: _Locked) -> Find:
        """Read what says where its parts are, once for all of them.

        Raises SealiftError where the source no longer has what was locked.
        """
