"""Taking a bundle into the depot: nothing of it is used before its signature and every hash are right."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.bundle import signature
from sealift.content import digest_of, read_foreign
from sealift.depot.store import Depot, StoredRelease, read_lock, read_pointer, sign_repository
from sealift.errors import SealiftError
from sealift.files import locked, write_atomically
from sealift.integrity import damaged
from sealift.media.table import TABLE
from sealift.oci.layout import (
    CONTROL_REF,
    FILES_REF,
    INDEX,
    PACKAGES_REF,
    ROLES_REF,
    SIGNATURE,
    SIGNATURE_LIMIT,
    TITLE,
    Layout,
    check_marker,
    read_index,
    read_layout,
)
from sealift.progress import Meter, Progress
from sealift.release.age import Excuse, expired, older, version_key
from sealift.release.locked import Lock
from sealift.release.ollama_manifest import model_manifest
from sealift.threads import at_once

_NAMED = 20  # missing blobs that a refusal names
_Owned = tuple[Blob, str]  # a blob, and what it belongs to


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    stored: StoredRelease
    signer: str  # as the site's list of allowed signers names them
    copied: tuple[Blob, ...]  # blobs that the depot lacked, or had damaged
    healed: tuple[str, ...]  # digests of those that it had damaged
    replaced: str | None  # the digest that this name and version stood for before, if another
    excused: tuple[str, ...] = ()  # for what it would have been refused without an override, a line each


@dataclass(frozen=True)
class Excused:
    """What somebody overrides of the rules for a bundle: its digest, and which.

    + note: writes down that it was of use, before the bundle is in
    """

    bundle: str
    lets: frozenset[Excuse]
    note: Callable[[], None]


def import_bundle(
    depot: Depot,
    bundle: Path,
    allowed_signers: Path,
    progress: Progress,
    replace: bool = False,
    override: Excused | None = None,
) -> Imported:
    """Verify a bundle, whole or a delta, and take it in.

    What the depot has of the release is hashed too, and taken from the medium where it is damaged.

    + bundle: folder of an OCI image layout with its signature; foreign until verified
    + allowed_signers: the site's list
    + progress: told of bytes hashed and copied
    + replace: whether it may take the place of another bundle of the same name and version
    + override: that lets in what is older than the depot's newest of that name, or past its last day

    Raises SealiftError naming what is wrong; the release is not registered then, and what was copied whole is
    kept for the next attempt.
    """
    if (bundle / TABLE).exists() and not (bundle / INDEX).exists():
        raise SealiftError(
            f"{bundle}: is a medium, expected a bundle's folder. Put the bundle together first: "
            f"sealift media read {bundle} --out BUNDLE --allowed-signers {allowed_signers}"
        )
    depot.require_room_for_it()
    check_marker(bundle)
    index = read_index(bundle)
    proof = _read_signature(bundle)
    signer = signature.verify(index, proof, allowed_signers)
    media = BlobStore(bundle)
    layout = read_layout(index, media)
    lock = read_lock(layout, media)
    _check_complete(layout, lock)
    _check_agreement(layout, lock)
    with locked(depot.path, lambda: progress("waiting for another import to end", 0, 0)):
        before = _before(depot, lock)
        if before not in (None, layout.digest) and not replace:
            raise SealiftError(
                f"{lock.release.reference}: is {before} in the depot, and this bundle is {layout.digest}: "
                "another build of that version, perhaps an older one. Nothing was imported. Give the newer "
                "one another version; or add --replace, if this one is to take the other's place."
            )
        excused = _not_again(depot, layout.digest, lock, override)
        lacking, rotten = _lacking(layout, media, depot.store, progress)
        copied = _copy(lacking, media, depot.store, progress)
        depot.store.sweep()
        if override and excused:
            override.note()
        folder = depot.bundle(layout.digest)
        stored = StoredRelease(layout.digest, lock)
        sign_repository(depot, stored)
        write_atomically(folder / SIGNATURE, proof)
        write_atomically(folder / INDEX, index)  # the bundle can be had by its digest from now on
        if before != layout.digest:
            write_atomically(_pointer(depot, lock), f"{layout.digest}\n".encode())
        replaced = before if before != layout.digest else None
        return Imported(stored, signer, copied, tuple(sorted(rotten)), replaced, excused)


def _not_again(depot: Depot, digest: str, lock: Lock, override: Excused | None) -> tuple[str, ...]:
    """For what a bundle is let in by an override alone, a line each. One that was here already mends itself.

    Raises SealiftError where it is older than the newest of its name, or past its last day.
    """
    if depot.bundle(digest).exists() or _before(depot, lock) == digest:
        return ()
    lets = override.lets if override and override.bundle == digest else frozenset()
    versions = [
        version
        for name, _, version in (known.partition(":") for known in depot.readable_releases()[0])
        if name == lock.release.name
    ]
    newest = {str(depot.path): f"{lock.release.name}:{v}" for v in sorted(versions, key=version_key)}
    wrong: dict[Excuse, list[str]] = {
        Excuse.OLDER: list(older(lock.release, newest)),
        Excuse.EXPIRED: list(expired(lock.release, datetime.now(UTC))),
    }
    if refused := [line for excuse, lines in wrong.items() if excuse not in lets for line in lines]:
        raise SealiftError("\n".join((*refused, "Nothing was imported.")))
    return tuple(line for lines in wrong.values() for line in lines)


def _read_signature(bundle: Path) -> bytes:
    if not os.path.lexists(bundle / SIGNATURE):
        raise SealiftError(
            f"{bundle / SIGNATURE}: not found, expected the bundle's signature. "
            "Copy the bundle again, or have it signed where it was built."
        )
    return read_foreign(bundle / SIGNATURE, SIGNATURE_LIMIT)


def _check_complete(layout: Layout, lock: Lock) -> None:
    carried = {blob for blob, _ in layout.blobs().values()}
    missing = [blob for blob in lock.blobs if blob not in carried]
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
        written = digest_of(model_manifest(model))
        if not layout.entry(name).descriptor.blob == written == model.manifest:
            raise SealiftError(f"bundle: {name} is another model than its lock says. Build it again.")
    debs = [(package.path.rpartition("/")[2], package.blob) for package in lock.packages]
    if debs and _titled(layout, PACKAGES_REF) != debs:
        raise SealiftError("bundle: its packages are others than its lock says. Build it again.")
    if lock.control is not None and _titled(layout, CONTROL_REF) != list(lock.control.files):
        raise SealiftError("bundle: control has other files than its lock says. Build it again.")
    made = [(title, Blob(digest=layer.digest, size=layer.size)) for title, layer, _ in lock.made]
    if made and _titled(layout, ROLES_REF) != made:
        raise SealiftError("bundle: its roles are others than its lock says. Build it again.")
    files = [(name, file.blob) for name, file in sorted(lock.files.items())]
    if files and _titled(layout, FILES_REF) != files:
        raise SealiftError("bundle: its files are others than its lock says. Build it again.")


def _titled(layout: Layout, ref: str) -> list[tuple[str | None, Blob]]:
    layers = layout.entry(ref).manifest.layers
    return [(layer.annotations.get(TITLE), layer.blob) for layer in layers]


def _lacking(
    layout: Layout, media: BlobStore, store: BlobStore, progress: Progress
) -> tuple[list[_Owned], frozenset[str]]:
    """What the depot lacks of a bundle, and which of that it has damaged.

    Raises SealiftError where the medium does not have all of that; at once where that can be said unhashed.
    """
    owned = layout.blobs()
    left_out = {blob.digest for blob, _ in owned.values() if not os.path.lexists(media.path(blob))}
    there = [blob for blob, _ in owned.values() if store.has(blob)]
    lacking = owned.keys() - {blob.digest for blob in there}
    _refuse_incomplete([owned[digest] for digest in owned if digest in lacking & left_out], len(owned))
    lacking |= damaged(store, there, "hashing what the depot has of it", progress)
    _refuse_incomplete([owned[digest] for digest in owned if digest in lacking & left_out], len(owned))
    rotten = frozenset(digest for digest in lacking if os.path.lexists(store.path(owned[digest][0])))
    return [owned[digest] for digest in owned if digest in lacking], rotten


def _refuse_incomplete(missing: list[_Owned], total: int) -> None:
    if not missing:
        return
    size = sum(blob.size for blob, _ in missing)
    lines = [f"  {owner}: {blob.digest} ({blob.size} bytes) is missing" for blob, owner in missing[:_NAMED]]
    if len(missing) > _NAMED:
        lines.append(f"  and {len(missing) - _NAMED} more")
    raise SealiftError(
        f"bundle: {len(missing)} of its {total} blobs, {size} bytes, are neither carried nor whole in the "
        "depot. Nothing was imported.\n"
        + "\n".join(lines)
        + "\nIf it is a delta, it was built for another have-list: make a new one with sealift have, and "
        "have the bundle built for that. If not, copy the bundle again."
    )


def _copy(missing: list[_Owned], media: BlobStore, store: BlobStore, progress: Progress) -> tuple[Blob, ...]:
    """Take blobs from the medium, on all cores: hashing is what takes the time, and it runs in parallel."""
    missing.sort(key=lambda item: -item[0].size)  # the biggest first, so that no core waits for it at the end
    meter = Meter("verifying and copying", sum(blob.size for blob, _ in missing), progress)

    def copy(item: _Owned) -> str | None:
        blob, owner = item
        try:
            store.take(blob, media.path(blob), owner, meter.add)
        except SealiftError as error:
            return str(error)
        return None

    raise_all(at_once(copy, missing, meter=meter))
    return tuple(blob for blob, _ in missing)


def raise_all(errors: Iterable[str | None]) -> None:
    """Raise one SealiftError of all messages, a line each, or none where there are none."""
    lines = [line for line in errors if line is not None]
    if lines:
        raise SealiftError("\n".join(lines))


def _pointer(depot: Depot, lock: Lock) -> Path:
    return depot.pointer(lock.release.name, lock.release.version)


def _before(depot: Depot, lock: Lock) -> str | None:
    """The digest that this name and version stand for, as far as that can be read."""
    with suppress(SealiftError):
        return read_pointer(_pointer(depot, lock))
    return None
