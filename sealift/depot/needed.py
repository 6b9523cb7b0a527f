"""What a host needs in its store."""

from __future__ import annotations

from collections.abc import Iterator

from sealift.blob import Blob
from sealift.release.locked import Lock


def needed_blobs(lock: Lock, groups: frozenset[str]) -> tuple[Blob, ...]:
    """The blobs a host needs, each once, in an order that depends on nothing but the lock.

    Packages come first, then images, models, what roles bring of their own, and files. A model's manifest is
    not among them: it is small text, made from the lock (`sealift.release.ollama_manifest.manifest_bytes`).

    + groups: the inventory groups of the host
    """
    return tuple({blob.digest: blob for blob in _blobs(lock, groups)}.values())


def _blobs(lock: Lock, groups: frozenset[str]) -> Iterator[Blob]:
    for package in lock.packages_for(groups):
        yield package.blob
    for _, image in sorted(lock.images_for(groups).items()):
        yield from (image.config, *image.layers)
    models = lock.models_for(groups)
    for name in models:
        yield from lock.models[name].blobs
        yield from lock.variant(name).blobs
    for name, role in sorted(lock.release.roles_for(groups).items()):
        for model in role.candidates:
            if model in models:
                yield from lock.variant(model, name).blobs
    for _, blob in lock.files_for(groups).values():
        yield blob
