"""Manifests that a bundle has of its own: images as they are, packages, models and files as OCI artifacts.

Source of the format: manifest.md of github.com/opencontainers/image-spec 1.1.
"""

from __future__ import annotations

from typing import Any

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.files import canonical_json
from sealift.oci import layout
from sealift.release.locked import LockedImage


def put_manifest(store: BlobStore, ref: str, media_type: str, content: bytes) -> dict[str, Any]:
    """Write a manifest, and describe it for the index.

    + ref: by which the index names it
    """
    return descriptor(media_type, store.put_bytes(content), {layout.REF_NAME: ref})


def image_manifest(image: LockedImage) -> dict[str, Any]:
    """An image's manifest: config and layers as the lock pins them."""
    return {
        "schemaVersion": 2,
        "mediaType": layout.OCI_MANIFEST,
        "config": descriptor(layout.OCI_CONFIG, image.config),
        "layers": [descriptor(layout.OCI_LAYER, layer) for layer in image.layers],
    }


def artifact(kind: str, config: dict[str, Any], layers: list[dict[str, Any]]) -> bytes:
    """A manifest of files that are no image, in its canonical form.

    + kind: media type of the artifact
    """
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": layout.OCI_MANIFEST,
            "artifactType": kind,
            "config": config,
            "layers": layers,
        }
    )


def descriptor(media_type: str, blob: Blob, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    """How a manifest or an index names a blob."""
    found: dict[str, Any] = {"mediaType": media_type, "digest": blob.digest, "size": blob.size}
    return found if annotations is None else {**found, "annotations": annotations}
