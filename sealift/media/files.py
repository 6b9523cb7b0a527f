"""What media carry of a bundle, and in which order: what a control node starts from comes first."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.content import Content, hash_content
from sealift.errors import SealiftError
from sealift.media.table import BLOBS, Named, check_file
from sealift.oci.layout import (
    INDEX,
    LAYOUT_FILE,
    RELEASE_REF,
    SIGNATURE,
    Layout,
    read_index,
    read_layout,
    read_small,
)
from sealift.release.lockfile import LOCK_LIMIT, parse_lock


@dataclass(frozen=True)
class Carried:
    """Every file of a bundle in the order in which media have them, and the deployment code among them."""

    files: tuple[Named, ...]
    code: Blob | None


def carried_files(bundle: Path) -> Carried:
    """What media of a bundle carry: what its index and manifests name and is there, no other file.

    Blobs are believed their name here.

    Raises SealiftError where it is not signed, lacks a manifest, or has a file of another size.
    """
    store = BlobStore(bundle)
    layout = read_layout(read_index(bundle), store)
    if not (bundle / SIGNATURE).is_file():
        raise SealiftError(f"{bundle / SIGNATURE}: not found. Let sealift build finish the bundle.")
    own = (bundle / name for name in (INDEX, SIGNATURE, LAYOUT_FILE))
    named = [Named(path.name, hash_content(Content.of_file(path), lambda _: None)) for path in own]
    for blob, owner in layout.blobs().values():
        if not os.path.lexists(store.path(blob)):  # a delta leaves out what the site has
            continue
        if not store.has(blob):
            raise SealiftError(
                f"{store.path(blob)}: is damaged, expected {blob.size} bytes of {owner}. "
                "Remove it and build the bundle again."
            )
        named.append(Named(BLOBS + blob.hex, blob))
    for file in named:
        check_file(file, bundle)
    first, code = _for_control(layout, store)
    return Carried(tuple(sorted(named, key=lambda file: (file.name not in first, file.name))), code)


def _for_control(layout: Layout, store: BlobStore) -> tuple[frozenset[str], Blob | None]:
    """Names of the files that START.py and sealift.install.from_media read, and the deployment code."""
    release = next((entry for entry in layout.entries if entry.ref == RELEASE_REF), None)
    if release is None:
        return frozenset(), None
    lock = release.manifest.config.blob
    parsed = parse_lock(read_small(store, lock, "release: lock", LOCK_LIMIT), "release: lock")
    control = parsed.control
    if control is None:
        return frozenset(), None
    packages = [package.blob for package in parsed.packages if "control" in package.groups]
    wheels = [wheel.blob for wheel in control.wheels]
    blobs = (release.descriptor.blob, lock, control.code, control.requirements, *wheels, *packages)
    return frozenset({INDEX, *(BLOBS + blob.hex for blob in blobs)}), control.code
