"""Plain files out of the sources folder. Each is what its SHA-256 says."""

from __future__ import annotations

from sealift.content import Content, hash_content
from sealift.errors import SealiftError
from sealift.progress import Meter
from sealift.release.locked import LockedFile
from sealift.release.types import File
from sealift.sources.source import CHECK_FILE, BuildMachine, Find


class PlainFile:
    """A file of a release, by its path."""

    def __init__(self, name: str, file: File, machine: BuildMachine) -> None:
        """Name a file; nothing is read yet.

        + name: in the release
        """
        self._file, self._machine = file, machine
        self._where = f"files.{name}"

    def lock(self) -> LockedFile:
        """Hash it where it lies. Raises SealiftError where it is missing, or not what its SHA-256 says."""
        content = self._content()
        meter = Meter(f"hashing {self._file.path}", content.size, self._machine.progress)
        blob = hash_content(content, meter.add)
        wanted = self._file.sha256 and f"sha256:{self._file.sha256}"
        if wanted not in (None, blob.digest):
            raise SealiftError(
                f"{self._where}: {content.path} is {blob.digest}, expected {wanted}. {CHECK_FILE}"
            )
        return LockedFile(blob=blob)

    def open(self, locked: LockedFile) -> Find:  # noqa: ARG002 - as in every source
        """As `Source.open`."""
        return lambda _: self._content()

    def _content(self) -> Content:
        return Content.of_file(self._machine.below(str(self._file.path), self._where))
