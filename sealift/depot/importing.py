"""Taking a bundle into the depot: nothing of it is used before its signature and every hash are right."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sealift.bundle import signature
from sealift.bundle.blobs import BlobStore, Content, digest_of
from sealift.bundle.layout import INDEX, SIGNATURE, SIGNATURE_LIMIT, Layout, read_index, read_layout
from sealift.depot.needed import needed_blobs
from sealift.depot.store import Depot, StoredRelease, read_lock, sign_repository
from sealift.errors import SealiftError
from sealift.files import locked, read_limited, write_atomically
from sealift.progress import Meter, Progress
from sealift.release.ollama_archive import model_manifest
from sealift.release.types import Blob, Lock


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    stored: StoredRelease
    signer: str  # as the site's list of allowed signers names them
    copied: tuple[Blob, ...]  # blobs that the depot lacked
    replaced: str | None  # the digest that this name and version stood for before, if another


def import_bundle(depot: Depot, bundle: Path, allowed_signers: Path, progress: Progress) -> Imported:
    """Verify a bundle and take it in. Blobs that the depot has are neither read nor copied again.

    + bundle: folder of an OCI image layout with its signature; foreign until verified
    + allowed_signers: the site's list
    + progress: told of bytes copied

    Raises SealiftError naming what is wrong; the release is not registered then, and what was copied whole is
    kept for the next attempt.
    """
    index = read_index(bundle)
    proof = _read_signature(bundle)
    signer = signature.verify(index, proof, allowed_signers)
    media = BlobStore(bundle)
    layout = read_layout(index, media)
    lock = read_lock(layout, media)
    _check_complete(layout, lock)
    _check_agreement(layout, lock)
    with locked(depot.path, lambda: progress("waiting for another import to end", 0, 0)):
        copied = _copy(layout, media, depot.store, progress)
        depot.store.sweep()
        folder = depot.bundle(layout.digest)
        write_atomically(folder / SIGNATURE, proof)
        write_atomically(folder / INDEX, index)
        stored = StoredRelease(layout.digest, lock)
        sign_repository(depot, stored)
        return Imported(stored, signer, copied, _register(depot, stored))


def _read_signature(bundle: Path) -> bytes:
    if not (bundle / SIGNATURE).exists():
        raise SealiftError(
            f"{bundle / SIGNATURE}: not found, expected the bundle's signature. "
            "Copy the bundle again, or have it signed where it was built."
        )
    return read_limited(bundle / SIGNATURE, SIGNATURE_LIMIT)


def _check_complete(layout: Layout, lock: Lock) -> None:
    carried = {blob for blob, _ in layout.blobs().values()}
    missing = [blob for blob in needed_blobs(lock, frozenset({"gpu"})) if blob not in carried]
    if missing:
        raise SealiftError(
            f"bundle: lacks {len(missing)} blobs that its lock names, the first is {missing[0].digest} "
            f"of {missing[0].size} bytes. Build it again."
        )


def _check_agreement(layout: Layout, lock: Lock) -> None:
    """Whether who reads the bundle by its index sees what a host gets by the lock."""
    for image in lock.images.values():
        manifest = layout.entry(image.name).manifest
        named = [part.blob for part in (manifest.config, *manifest.layers)]
        if named != [image.config, *image.layers]:
            raise SealiftError(f"bundle: {image.name} is another image than its lock says. Build it again.")
    for name, model in lock.models.items():
        made = digest_of(model_manifest(model))
        if not layout.entry(name).descriptor.blob == made == model.manifest:
            raise SealiftError(f"bundle: {name} is another model than its lock says. Build it again.")


def _copy(layout: Layout, media: BlobStore, store: BlobStore, progress: Progress) -> tuple[Blob, ...]:
    """All blobs that are missing, on all cores: hashing is what takes the time, and it runs in parallel."""
    missing = [(blob, owner) for blob, owner in layout.blobs().values() if not store.has(blob)]
    missing.sort(key=lambda item: -item[0].size)  # the biggest first, so that no core waits for it at the end
    meter = Meter("verifying and copying", sum(blob.size for blob, _ in missing), progress)

    def copy(item: tuple[Blob, str]) -> str | None:
        blob, owner = item
        try:
            store.put(blob, _on_media(media, blob, owner), owner, meter.add)
        except SealiftError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        raise_all(pool.map(copy, missing))
    return tuple(blob for blob, _ in missing)


def _on_media(media: BlobStore, blob: Blob, owner: str) -> Content:
    path = media.path(blob)
    if not os.path.lexists(path):
        raise SealiftError(f"{owner}: {blob.digest} is missing from {path.parent}. Copy the bundle again.")
    return Content.of_file(path)


def raise_all(errors: Iterable[str | None]) -> None:
    """Raise one SealiftError of all messages, a line each, or none where there are none."""
    lines = [line for line in errors if line is not None]
    if lines:
        raise SealiftError("\n".join(lines))


def _register(depot: Depot, stored: StoredRelease) -> str | None:
    release = stored.lock.release
    before = depot.releases().get(release.reference)
    if before != stored.digest:
        path = depot.path / "releases" / release.name / release.version
        write_atomically(path, f"{stored.digest}\n".encode())
    return before if before != stored.digest else None
