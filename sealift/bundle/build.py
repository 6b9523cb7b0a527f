"""From a lock to a bundle: an OCI image layout whose every byte follows from the lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.bundle import signature
from sealift.bundle.have_list import NOTHING, HaveList
from sealift.bundle.manifests import artifact, descriptor, image_manifest, put_manifest
from sealift.cache import cache_folder
from sealift.content import Content
from sealift.errors import SealiftError
from sealift.files import canonical_json, locked, write_atomically
from sealift.integrity import drop_damaged, stored_blobs
from sealift.oci import layout
from sealift.oci.layout import INDEX, SIGNATURE
from sealift.progress import Meter, Progress
from sealift.release.locked import CODE, REQUIREMENTS, Lock
from sealift.release.lockfile import dump_lock
from sealift.release.ollama_manifest import OLLAMA_MANIFEST, model_manifest
from sealift.sbom.cyclonedx import make_sbom
from sealift.sbom.records import Records
from sealift.sources import debs
from sealift.sources.control import check_code
from sealift.sources.kinds import file_source, image_source, model_source
from sealift.sources.source import BuildMachine, Find
from sealift.sources.wheels import fetch_wheels
from sealift.threads import at_once

_OWN = frozenset({INDEX, SIGNATURE, layout.LAYOUT_FILE, "blobs", "partial"})

_AT_ONCE = 4  # downloads, or copies


@dataclass(frozen=True)
class BundleInfo:
    """A bundle: the digest of its index, how many blobs it has and their bytes, and how many are carried.

    A delta carries fewer than it has.
    """

    digest: str
    blobs: int
    size: int
    carried: int
    carried_size: int

    @property
    def is_delta(self) -> bool:
        """Whether some blobs are not carried."""
        return self.carried < self.blobs


@dataclass(frozen=True, eq=False)
class _Owner:
    """An image, a model or a file of a release.

    + open: opens its source
    """

    name: str
    blobs: tuple[Blob, ...]
    open: Callable[[], Find]


def build(
    lock: Lock,
    sources: Path,
    out: Path,
    signing_key: Path,
    progress: Progress,
    have: HaveList = NOTHING,
    project: Path = Path(),
) -> BundleInfo:
    """Build and sign a bundle. What is in `out` already and belongs to it is kept, all else there removed.

    All that is carried was hashed in this run: as it was written, or where earlier runs left it.

    + sources: the folder that paths in the release are relative to
    + out: its folder
    + signing_key: OpenSSH key; a signature of its that is there and right stays
    + progress: told of bytes fetched and written
    + have: blobs to leave out, because the site has them. Index, signature and digest are the same as
      without. Manifests and the lock are carried always, so that an import can say what is missing of what
    + project: folder of the deployment code, where the release has a control node

    Raises SealiftError where content is missing, or is not what was locked.
    """
    cache = BlobStore(cache_folder(os.environ))
    store = BlobStore(out)
    records = Records(cache_folder(os.environ))
    _refuse_foreign(out)
    signature.check_key(signing_key)
    check_code(lock, project, cache)
    with locked(out, lambda: progress("waiting for another build to end", 0, 0)):
        _sweep(out)
        cache.sweep_old()
        signed = signature.left_at(out / SIGNATURE)
        (out / SIGNATURE).unlink(missing_ok=True)  # half a bundle must not look like a whole one
        drop_damaged(store, stored_blobs(store), progress)
        unread = have.without(records.lacking(lock))
        machine = BuildMachine.of(os.environ, sources, progress)
        _place_packages(lock, unread, machine, store, cache)
        _place_control(lock, unread, store, cache, progress)
        _place_contents(lock, unread, machine, store, cache)
        manifests = list(_manifests(lock, store))
        manifests.append(_sbom(lock, store, records, manifests, progress))
        index = canonical_json({"schemaVersion": 2, "manifests": manifests})
        made = layout.read_layout(index, store)
        store.keep_only(_carried(made, have))
        write_atomically(out / layout.LAYOUT_FILE, layout.LAYOUT)
        write_atomically(out / INDEX, index)
        write_atomically(out / SIGNATURE, signature.renew(index, signed, signing_key, progress))
    return describe(made, store)


def describe(bundle: layout.Layout, store: BlobStore) -> BundleInfo:
    """Sum up a bundle.

    + store: where its blobs lie
    """
    blobs = [blob for blob, _ in bundle.blobs().values()]
    carried = [blob for blob in blobs if store.has(blob)]
    sizes = (sum(blob.size for blob in some) for some in (blobs, carried))
    return BundleInfo(bundle.digest, len(blobs), next(sizes), len(carried), next(sizes))


def _carried(bundle: layout.Layout, have: HaveList) -> frozenset[str]:
    """Hexadecimal digests of what a bundle carries to a site that has these blobs."""
    tables = bundle.tables()
    blobs = (blob for blob, _ in bundle.blobs().values())
    return frozenset(blob.hex for blob in blobs if blob.digest in tables or blob not in have)


def _refuse_foreign(out: Path) -> None:
    """Never clear a folder that is somebody's own, another tool's layout among them."""
    if out.exists() and not (out.is_dir() and _is_own(out)):
        raise SealiftError(f"{out}: exists and is not a bundle. Name an empty folder.")


def _is_own(out: Path) -> bool:
    names = {path.name for path in out.iterdir()}
    temporary = tuple(f".{name}." for name in _OWN)
    if not all(name in _OWN or name.startswith(temporary) for name in names):
        return False
    if INDEX not in names:  # it is written last but one
        return True
    with suppress(SealiftError):
        named = layout.read_manifests(layout.read_index(out)).values()
        return layout.RELEASE_REF in (ref for _, ref in named)
    return False


def _sweep(out: Path) -> None:
    """Remove what a killed build was writing."""
    for path in out.glob(".*"):
        path.unlink()


def _place_packages(
    lock: Lock, have: HaveList, machine: BuildMachine, store: BlobStore, cache: BlobStore
) -> None:
    """Fetch packages into the cache and take them from there."""
    wanted = tuple(
        package for package in lock.packages if package.blob not in have and not store.has(package.blob)
    )
    drop_damaged(cache, (package.blob for package in wanted), machine.progress)
    debs.fetch(lock.model_copy(update={"packages": wanted}), machine, cache)
    for package in wanted:
        _take(package.blob, f"packages: {package.name}", store, cache)


def _place_control(
    lock: Lock, have: HaveList, store: BlobStore, cache: BlobStore, progress: Progress
) -> None:
    """Bring in what the control node starts from; `check_code` has put all but the wheels into the cache."""
    if lock.control is None:
        return
    wanted = {blob: name for name, blob in lock.control.files if blob not in have and not store.has(blob)}
    wheels = (wheel for wheel in lock.control.wheels if wheel.blob in wanted)
    drop_damaged(cache, wanted, progress)
    fetch_wheels(wheels, lock.release.suite, cache, progress)
    for blob, name in wanted.items():
        _take(blob, f"{layout.CONTROL_REF}: {name}", store, cache)


def _take(blob: Blob, owner: str, store: BlobStore, cache: BlobStore) -> None:
    """Link a blob out of the cache where the file system can, else copy it."""
    path = cache.path(blob)
    if not store.link(blob, path):
        store.put(blob, Content.of_file(path), owner, lambda _: None)


def _place_contents(
    lock: Lock, have: HaveList, machine: BuildMachine, store: BlobStore, cache: BlobStore
) -> None:
    """Bring images, models and files in from where they come from, several at once."""
    wanted = {
        blob.digest: (blob, owner)
        for owner in _owners(lock, machine)
        for blob in owner.blobs
        if blob not in have and not store.has(blob)
    }
    drop_damaged(cache, (blob for blob, _ in wanted.values()), machine.progress)
    owners = tuple(dict.fromkeys(owner for _, owner in wanted.values()))
    finds = dict(zip(owners, at_once(lambda owner: owner.open(), owners, _AT_ONCE), strict=True))
    todo = sorted(wanted.values(), key=lambda item: -item[0].size)
    meter = Meter("writing images, models and files", sum(blob.size for blob, _ in todo), machine.progress)

    def place(item: tuple[Blob, _Owner]) -> None:
        blob, owner = item
        content = finds[owner](blob)
        if content.path == cache.path(blob) and store.link(blob, content.path):
            meter.add(blob.size)
        else:
            store.put(blob, content, owner.name, meter.add)

    at_once(place, todo, _AT_ONCE, meter)


def _owners(lock: Lock, machine: BuildMachine) -> Iterator[_Owner]:
    for key, wanted in sorted(lock.release.images.items()):
        image = lock.images[key]
        opening = partial(image_source(wanted, machine).open, image)
        yield _Owner(image.name, (image.config, *image.layers), opening)
    for name, model in sorted(lock.models.items()):
        opening = partial(model_source(name, lock.release.models[name], machine).open, model)
        yield _Owner(name, model.blobs, opening)
    for name, file in sorted(lock.files.items()):
        opening = partial(file_source(name, lock.release.files[name], machine).open, file)
        yield _Owner(name, (file.blob,), opening)


def _manifests(lock: Lock, store: BlobStore) -> Iterator[dict[str, Any]]:
    """Write the manifests and name them, in one order."""
    put = partial(put_manifest, store)
    for _, image in sorted(lock.images.items()):
        yield put(image.name, layout.OCI_MANIFEST, canonical_json(image_manifest(image)))
    for name, model in sorted(lock.models.items()):
        yield put(name, OLLAMA_MANIFEST, model_manifest(model))
    empty = descriptor(layout.OCI_EMPTY, store.put_bytes(b"{}"))
    packages = [
        descriptor(layout.DEB_TYPE, package.blob, {layout.TITLE: package.path.rpartition("/")[2]})
        for package in lock.packages
    ]
    made = artifact(layout.PACKAGES_TYPE, empty, packages or [empty])
    yield put(layout.PACKAGES_REF, layout.OCI_MANIFEST, made)
    if lock.control is not None:
        files = [
            descriptor(_control_type(name), blob, {layout.TITLE: name}) for name, blob in lock.control.files
        ]
        made = artifact(layout.CONTROL_TYPE, empty, files)
        yield put(layout.CONTROL_REF, layout.OCI_MANIFEST, made)
    if lock.made:
        texts = [
            descriptor(layer.media_type, store.put_bytes(content), {layout.TITLE: title})
            for title, layer, content in lock.made
        ]
        made = artifact(layout.ROLES_TYPE, empty, texts)
        yield put(layout.ROLES_REF, layout.OCI_MANIFEST, made)
    if lock.files:
        files = [
            descriptor(layout.FILE_TYPE, file.blob, {layout.TITLE: name})
            for name, file in sorted(lock.files.items())
        ]
        made = artifact(layout.FILES_TYPE, empty, files)
        yield put(layout.FILES_REF, layout.OCI_MANIFEST, made)
    config = descriptor(layout.LOCK_TYPE, store.put_bytes(dump_lock(lock)))
    made = artifact(layout.RELEASE_TYPE, config, [empty])
    yield put(layout.RELEASE_REF, layout.OCI_MANIFEST, made)


def _control_type(name: str) -> str:
    return {CODE: layout.CODE_TYPE, REQUIREMENTS: layout.REQUIREMENTS_TYPE}.get(name, layout.WHEEL_TYPE)


def _sbom(
    lock: Lock, store: BlobStore, records: Records, manifests: list[dict[str, Any]], progress: Progress
) -> dict[str, Any]:
    """Write the SBOM, which refers to the manifests of images by digest."""
    digests = {manifest["annotations"][layout.REF_NAME]: manifest["digest"] for manifest in manifests}
    content = make_sbom(lock, records.read(lock, store, progress), digests)
    empty = descriptor(layout.OCI_EMPTY, store.put_bytes(b"{}"))
    sbom = descriptor(layout.SBOM_TYPE, store.put_bytes(content), {layout.TITLE: "sbom.cdx.json"})
    made = artifact(layout.SBOM_TYPE, empty, [sbom])
    return put_manifest(store, layout.SBOM_REF, layout.OCI_MANIFEST, made)
