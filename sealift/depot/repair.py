"""Where a damaged blob can be had again: a folder that was carried in, or a host's store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.content import Content
from sealift.errors import SealiftError
from sealift.host_paths import BLOBS
from sealift.ssh import Ssh

_READ = 'exec head -c "$2" "$1"'
_LIMIT_S = 7 * 24 * 3600  # a large model over a slow link takes days


class RepairSource(Protocol):
    """Something that may have a blob. Nothing of it is believed before it is hashed."""

    def __str__(self) -> str:
        """What to call it."""
        ...

    def restore(self, blob: Blob, store: BlobStore) -> bool:
        """Put a blob into a store; False where the source has none.

        Raises SealiftError where what it has cannot be read or is another content.
        """
        ...


@dataclass(frozen=True)
class BlobFolder:
    """A bundle's folder, or any folder of files named by their SHA-256."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def restore(self, blob: Blob, store: BlobStore) -> bool:
        """Copy the blob; a `RepairSource`."""
        for folder in (self.path / "blobs" / "sha256", self.path / "sha256", self.path):
            if os.path.lexists(folder / blob.hex):
                content = Content.of_file(folder / blob.hex)
                store.put(blob, content, str(self), lambda _: None)
                return True
        return False


@dataclass(frozen=True)
class HostStore:
    """The host store of a host that a release was shipped to."""

    ssh: Ssh

    def __str__(self) -> str:
        return self.ssh.host

    def restore(self, blob: Blob, store: BlobStore) -> bool:
        """Fetch the blob over SSH; a `RepairSource`."""
        path = f"{BLOBS}/{blob.hex}"
        if self.ssh.run('if [ -f "$1" ]; then echo yes; else echo no; fi', path).strip() != "yes":
            return False
        store.partial.mkdir(parents=True, exist_ok=True)
        arrived = store.partial / f"{blob.hex}.{os.getpid()}.fetched"
        try:
            with arrived.open("wb") as file:
                self.ssh.fetch(file, _READ, path, str(blob.size), timeout_s=_LIMIT_S, most=blob.size)
            store.put(blob, Content.of_file(arrived), str(self), lambda _: None)
        finally:
            arrived.unlink(missing_ok=True)
        return True


def restore_from_any(blob: Blob, store: BlobStore, sources: Sequence[RepairSource]) -> tuple[str, list[str]]:
    """Put a blob into a store out of the first source that has it whole.

    Gives that source's name, or "" where none has; and what was wrong with those tried before.
    """
    wrong: list[str] = []
    for source in sources:
        try:
            if source.restore(blob, store):
                return str(source), wrong
        except SealiftError as error:
            wrong += str(error).split("\n")
    return "", wrong
