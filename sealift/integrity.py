"""Whether blobs still are what their names say: hashed on all cores."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.content import Content, hash_content
from sealift.errors import SealiftError
from sealift.progress import Meter, Progress
from sealift.threads import at_once

_HEX = re.compile(r"[0-9a-f]{64}")


def damaged(store: BlobStore, blobs: Iterable[Blob], what: str, progress: Progress) -> frozenset[str]:
    """The digests of those blobs that are missing or are not what they should be.

    + what: the task, for people
    + progress: told of bytes hashed
    """
    todo = sorted(blobs, key=lambda blob: -blob.size)  # the biggest first: no core waits for it at the end
    meter = Meter(what, sum(blob.size for blob in todo), progress)

    def is_damaged(blob: Blob) -> bool:
        if not store.has(blob):
            return True
        try:
            # by digest: a model's layer is another kind of blob, which equals none that is found
            return hash_content(Content.of_file(store.path(blob)), meter.add).digest != blob.digest
        except SealiftError:  # a disk that cannot read it
            return True

    verdicts = at_once(is_damaged, todo, meter=meter)
    return frozenset(blob.digest for blob, bad in zip(todo, verdicts, strict=True) if bad)


def drop_damaged(store: BlobStore, blobs: Iterable[Blob], progress: Progress) -> None:
    """Remove what rotted since an earlier run left it, so that it is brought in again.

    + progress: told of bytes hashed
    """
    for digest in damaged(store, filter(store.has, blobs), "hashing what is there", progress):
        (store.folder / digest.removeprefix("sha256:")).unlink()


def stored_blobs(store: BlobStore) -> tuple[Blob, ...]:
    """Every blob that a store has by name and size, sorted by name; its content is not looked at."""
    if not store.folder.is_dir():
        return ()
    with os.scandir(store.folder) as entries:
        found = [
            Blob(digest=f"sha256:{entry.name}", size=entry.stat(follow_symlinks=False).st_size)
            for entry in entries
            if _HEX.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        ]
    return tuple(sorted(found, key=lambda blob: blob.digest))
