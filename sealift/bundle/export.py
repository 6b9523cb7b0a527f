"""A model baked into an image: the release's Ollama image and one more layer, for sites with only a registry.

Everything follows from the lock: who exports it again gets the same bytes, on any machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.content import Content, verified
from sealift.errors import SealiftError
from sealift.files import canonical_json, locked, parse_json, write_atomically, write_if_changed
from sealift.integrity import drop_damaged
from sealift.oci.image_archive import WrittenImage, write_archive
from sealift.oci.image_config import BaseConfig
from sealift.oci.layout import (
    INDEX,
    LAYOUT,
    LAYOUT_FILE,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    REF_NAME,
    Index,
    read_index,
    read_small,
)
from sealift.oci.manifest import CONFIG_LIMIT
from sealift.oci.tar import Member, tar_chunks
from sealift.progress import Meter, Progress
from sealift.release.locked import Lock
from sealift.release.ollama_manifest import manifest_bytes, manifest_path
from sealift.release.roles import Named, first_choices, names_of
from sealift.release.values import ImageName
from sealift.services import OLLAMA

STORE = "/models"  # Ollama's store in the image; at the top, where no image has a link in the way
_ENVIRONMENT = {
    "OLLAMA_MODELS": STORE,
    "OLLAMA_NOPRUNE": "1",  # it would remove what it takes for unused when it starts
    "OLLAMA_NO_CLOUD": "1",  # newer versions call out when they start
}
_RELEASE_LABEL = "io.sealift.release"
_MODEL_LABEL = "io.sealift.model"
_CONTAINERD_NAME = "io.containerd.image.name"  # by which containerd's store takes an archive in
_OWN = re.compile(r"blobs|partial|index\.json|oci-layout|\.(index\.json|oci-layout)\..*")


@dataclass(frozen=True)
class ImageOrder:
    """What is to be exported: a model of a lock, under an image's name, also under its roles' if wanted."""

    lock: Lock
    model: str
    name: str
    with_roles: bool = False


@dataclass(frozen=True)
class ExportedImage:
    """An image as it was written. The ID is that of Docker's classic store; the digest is a registry's."""

    name: str
    image_id: str
    digest: str
    size: int
    models: tuple[str, ...]


def export_image(
    order: ImageOrder, source: BlobStore, out: Path, archive: Path | None, progress: Progress
) -> ExportedImage:
    """Write an image with a model in it as an OCI image layout, which `skopeo copy` pushes to a registry.

    + source: where the lock's blobs lie; every byte is checked against the lock
    + out: its folder; an earlier export there is replaced, but for layers that are whole
    + archive: also written where it is not None: the layout as a tar file, which `docker load` takes
    + progress: told of bytes hashed and written

    Raises SealiftError where the lock has no such model, a blob is missing or damaged, or `out` is not ours.
    """
    lock, base = order.lock, order.lock.images[OLLAMA.name]
    _check_model(order)
    _check_name(order.name)
    _check_places(out, archive)
    content = read_small(source, base.config, base.name, CONFIG_LIMIT)
    config = BaseConfig(content, base.layers, base.name)
    roles = lock.release.roles if order.with_roles else {}
    names = tuple(names_of(lock, order.model, first_choices(roles)))
    blobs = tuple({blob.digest: blob for named in names for blob in named.variant.blobs}.values())
    store = BlobStore(out)
    with locked(out, lambda: progress("waiting for another export to end", 0, 0)):
        _sweep(out)
        write_if_changed(out / LAYOUT_FILE, LAYOUT)
        drop_damaged(store, base.layers, progress)
        missing = [layer for layer in base.layers if not store.has(layer)]
        meter = Meter(f"writing {order.name}", sum(blob.size for blob in (*missing, *blobs)), progress)
        for layer in missing:
            store.put(layer, _content(source, layer, base.name), base.name, meter.add)
        added = store.put_stream(
            tar_chunks(_store_members(order.model, names, source, meter), config.created)
        )
        labels = {_RELEASE_LABEL: lock.release.reference, _MODEL_LABEL: order.model}
        made_by = f"sealift export image --model {order.model}"
        final = store.put_bytes(config.with_layer(added, _ENVIRONMENT, labels, made_by))
        image = _put_manifest(store, final, (*base.layers, added))
        write_atomically(out / INDEX, _index(order, image.manifest))
        store.keep_only(frozenset(blob.hex for blob in image.blobs))
        if archive is not None:
            write_archive(archive, order.name, out, image, progress)
    size = sum(blob.size for blob in image.blobs)
    tags = tuple(tag for named in names for tag in named.tags)
    return ExportedImage(order.name, image.config.digest, image.manifest.digest, size, tags)


def _check_model(order: ImageOrder) -> None:
    if order.model not in order.lock.models:
        known = ", ".join(sorted(order.lock.models)) or "none"
        raise SealiftError(
            f"{order.model}: no model of {order.lock.release.reference}, which has {known}. Name one of them."
        )


def _check_name(name: str) -> None:
    try:
        TypeAdapter(ImageName).validate_python(name)
    except ValidationError:
        raise SealiftError(
            f"{name}: is no image name in full, expected HOST/PATH:TAG in small letters, "
            "such as registry.example.org/llm/gemma3:2026.11.0. Correct --name."
        ) from None


def _check_places(out: Path, archive: Path | None) -> None:
    """Never clear a folder that is somebody's own, a bundle or another tool's layout among them."""
    if out.exists() and not (out.is_dir() and _is_own(out)):
        raise SealiftError(f"{out}: exists and is no exported image. Name an empty folder.")
    if archive is None:
        return
    if archive.resolve().is_relative_to(out.resolve()):
        raise SealiftError(f"{archive}: lies in the layout's folder. Name a place outside of {out}.")
    if archive.is_dir():
        raise SealiftError(f"{archive}: is a folder, expected a file to write. Correct --archive.")


def _is_own(out: Path) -> bool:
    names = {path.name for path in out.iterdir()}
    if INDEX not in names:
        # `oci-layout` is written first here: blobs without it are of a bundle, or of something else
        return not names or (LAYOUT_FILE in names and all(map(_OWN.fullmatch, names)))
    with suppress(ValidationError, SealiftError):
        index = Index.model_validate(parse_json(read_index(out), INDEX))
        marked = all(_MODEL_LABEL in descriptor.annotations for descriptor in index.manifests)
        return marked and all(map(_OWN.fullmatch, names))
    return False


def _sweep(out: Path) -> None:
    """Remove what a killed export was writing."""
    for path in out.glob(".*"):
        path.unlink()


def _content(source: BlobStore, blob: Blob, where: str) -> Content:
    path = source.path(blob)
    if not os.path.lexists(path):
        raise SealiftError(f"{where}: {blob.digest} is missing from {path.parent}. Import the release again.")
    return Content.of_file(path)


def _store_members(name: str, names: Sequence[Named], source: BlobStore, meter: Meter) -> Iterator[Member]:
    """Ollama's store with one model in it: blobs first, as Ollama's own pull has it."""
    root = STORE.removeprefix("/")
    blobs = {f"{root}/blobs/sha256-{blob.hex}": blob for each in names for blob in each.variant.blobs}
    manifests = {
        f"{root}/manifests/{manifest_path(tag)}": manifest_bytes(each.variant.manifest)
        for each in names
        for tag in each.tags
    }
    for folder in _folders((*blobs, *manifests)):
        yield Member(folder)
    for path, blob in sorted(blobs.items()):
        chunks = verified(_content(source, blob, name), blob, name)
        yield Member(path, meter.noted(chunks), blob.size)
    for path, content in sorted(manifests.items()):
        yield Member.of_bytes(path, content)


def _folders(paths: Iterable[str]) -> list[str]:
    """Every folder above these paths, a folder before what is in it."""
    return sorted({str(folder) for path in paths for folder in PurePosixPath(path).parents} - {"."})


def _put_manifest(store: BlobStore, config: Blob, layers: tuple[Blob, ...]) -> WrittenImage:
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": config.digest, "size": config.size},
        "layers": [{"mediaType": OCI_LAYER, "digest": blob.digest, "size": blob.size} for blob in layers],
    }
    return WrittenImage(store.put_bytes(canonical_json(manifest)), config, layers)


def _index(order: ImageOrder, manifest: Blob) -> bytes:
    descriptor = {
        "mediaType": OCI_MANIFEST,
        "digest": manifest.digest,
        "size": manifest.size,
        "annotations": {REF_NAME: order.name, _CONTAINERD_NAME: order.name, _MODEL_LABEL: order.model},
        "platform": {"os": "linux", "architecture": order.lock.release.architecture},
    }
    return canonical_json({"schemaVersion": 2, "manifests": [descriptor]})
