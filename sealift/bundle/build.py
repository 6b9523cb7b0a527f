"""From a lock to a bundle: an OCI image layout whose every byte follows from the lock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sealift.bundle import debs, layout, signature
from sealift.bundle.blobs import BlobStore, Content
from sealift.bundle.have_list import NOTHING, HaveList
from sealift.bundle.layout import INDEX, SIGNATURE
from sealift.cache import cache_folder
from sealift.errors import SealiftError
from sealift.files import canonical_json, locked, write_atomically
from sealift.progress import Meter, Progress
from sealift.release.docker_archive import open_image
from sealift.release.lockfile import dump_lock
from sealift.release.ollama_archive import StoredModel, model_manifest
from sealift.release.types import Blob, Lock, LockedImage

# first parts of the names in a bundle's folder
_OWN = {"index", "oci-layout", "blobs", "partial"}


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


def build(
    lock: Lock, sources: Path, out: Path, signing_key: Path, progress: Progress, have: HaveList = NOTHING
) -> BundleInfo:
    """Build and sign a bundle. What is in `out` already and belongs to it is kept, all else there removed.

    + sources: the folder that paths in the release are relative to
    + out: its folder
    + signing_key: OpenSSH key
    + progress: told of bytes fetched and written
    + have: blobs to leave out, because the site has them. Index, signature and digest are the same as
      without. Manifests and the lock are carried always, so that an import can say what is missing of what

    Raises SealiftError where content is missing, or is not what was locked.
    """
    cache = BlobStore(cache_folder(os.environ))
    store = BlobStore(out)
    _refuse_foreign(out)
    with locked(out, lambda: progress("waiting for another build to end", 0, 0)):
        _sweep(out)
        (out / SIGNATURE).unlink(missing_ok=True)  # half a bundle must not look like a whole one
        _place_packages(lock, have, sources, store, cache, progress)
        _place_contents(lock, have, sources, store, progress)
        index = canonical_json({"schemaVersion": 2, "manifests": list(_manifests(lock, store))})
        made = layout.read_layout(index, store)
        store.keep_only(_carried(made, have))
        write_atomically(out / "oci-layout", canonical_json({"imageLayoutVersion": "1.0.0"}))
        write_atomically(out / INDEX, index)
        write_atomically(out / SIGNATURE, signature.sign(index, signing_key))
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
    """Never clear a folder that is somebody's own."""
    if not out.exists():
        return
    if not out.is_dir() or any(
        path.name.removeprefix(".").split(".")[0] not in _OWN for path in out.iterdir()
    ):
        raise SealiftError(f"{out}: exists and is not a bundle. Name an empty folder.")


def _sweep(out: Path) -> None:
    """Remove what a killed build was writing."""
    for path in out.glob(".*"):
        path.unlink()


def _place_packages(
    lock: Lock, have: HaveList, sources: Path, store: BlobStore, cache: BlobStore, progress: Progress
) -> None:
    """Link packages out of the cache where the file system can, else copy."""
    wanted = tuple(
        package for package in lock.packages if package.blob not in have and not store.has(package.blob)
    )
    debs.fetch(lock.model_copy(update={"packages": wanted}), sources, cache, progress)
    for package in wanted:
        path = cache.path(package.blob)
        if not store.link(package.blob, path):
            store.put(package.blob, Content.of_file(path), f"packages: {package.name}", lambda _: None)


def _place_contents(lock: Lock, have: HaveList, sources: Path, store: BlobStore, progress: Progress) -> None:
    """Copy images and models out of their tarballs, on all cores."""
    wanted = {
        blob.digest: (blob, content, owner)
        for blob, content, owner in _contents(lock, sources)
        if blob not in have and not store.has(blob)
    }
    todo = sorted(wanted.values(), key=lambda item: -item[0].size)
    meter = Meter("writing images and models", sum(blob.size for blob, _, _ in todo), progress)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in [pool.submit(store.put, *item, meter.add) for item in todo]:
            result.result()


def _contents(lock: Lock, sources: Path) -> Iterator[tuple[Blob, Content, str]]:
    for key, wanted in sorted(lock.release.images.items()):
        image, saved = lock.images[key], open_image(wanted, sources)
        if len(saved.layers) != len(image.layers):
            raise SealiftError(f"{image.archive}: is not what was locked. Run sealift lock again.")
        yield image.config, saved.config, image.archive
        yield from ((*pair, image.archive) for pair in zip(image.layers, saved.layers, strict=True))
    for name, model in sorted(lock.models.items()):
        stored = StoredModel(name, lock.release.models[name], sources)
        yield from ((blob, stored.content(blob), model.archive) for blob in model.blobs)


def _manifests(lock: Lock, store: BlobStore) -> Iterator[dict[str, Any]]:
    """Write the manifests and name them, in one order."""
    put_manifest = partial(_put_manifest, store)
    for _, image in sorted(lock.images.items()):
        yield put_manifest(image.name, layout.OCI_MANIFEST, canonical_json(_image_manifest(image)))
    for name, model in sorted(lock.models.items()):
        yield put_manifest(name, layout.OLLAMA_MANIFEST, model_manifest(model))
    empty = _descriptor(layout.OCI_EMPTY, store.put_bytes(b"{}"))
    packages = [
        _descriptor(layout.DEB_TYPE, package.blob, {layout.TITLE: package.path.rpartition("/")[2]})
        for package in lock.packages
    ]
    artifact = _artifact(layout.PACKAGES_TYPE, empty, packages or [empty])
    yield put_manifest(layout.PACKAGES_REF, layout.OCI_MANIFEST, artifact)
    config = _descriptor(layout.LOCK_TYPE, store.put_bytes(dump_lock(lock)))
    artifact = _artifact(layout.RELEASE_TYPE, config, [empty])
    yield put_manifest(layout.RELEASE_REF, layout.OCI_MANIFEST, artifact)


def _put_manifest(store: BlobStore, ref: str, media_type: str, content: bytes) -> dict[str, Any]:
    return _descriptor(media_type, store.put_bytes(content), {layout.REF_NAME: ref})


def _image_manifest(image: LockedImage) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": layout.OCI_MANIFEST,
        "config": _descriptor(layout.OCI_CONFIG, image.config),
        "layers": [_descriptor(layout.OCI_LAYER, layer) for layer in image.layers],
    }


def _artifact(kind: str, config: dict[str, Any], layers: list[dict[str, Any]]) -> bytes:
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": layout.OCI_MANIFEST,
            "artifactType": kind,
            "config": config,
            "layers": layers,
        }
    )


def _descriptor(media_type: str, blob: Blob, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"mediaType": media_type, "digest": blob.digest, "size": blob.size}
    return found if annotations is None else {**found, "annotations": annotations}
