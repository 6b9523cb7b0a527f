"""Models out of a tarball of an Ollama store: `manifests/` and `blobs/`, at its top or below `models/`.

Source of the format: server/manifest.go and server/modelpath.go of github.com/ollama/ollama.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from sealift.bundle.blobs import Content, digest_of, hash_content
from sealift.bundle.layout import OLLAMA_MANIFEST
from sealift.errors import SealiftError
from sealift.files import canonical_json, parse_json
from sealift.progress import Meter, Progress
from sealift.release.gguf import read_context_cost
from sealift.release.tarball import Tarball
from sealift.release.types import WEIGHTS, Blob, Digest, LockedModel, MediaType, Model, ModelLayer

_MANIFEST_LIMIT = 1 << 20  # bytes
# Where Ollama keeps its own models, below `manifests/`.
LIBRARY = "registry.ollama.ai/library"


class _Part(BaseModel):
    """A blob of a manifest. Other keys, such as `from`, are paths of the machine that made it: dropped."""

    media_type: MediaType = Field(alias="mediaType")
    digest: Digest
    size: int = Field(ge=0, lt=1 << 53)

    def layer(self) -> ModelLayer:
        return ModelLayer(digest=self.digest, size=self.size, media_type=self.media_type)


class _Manifest(BaseModel):
    config: _Part
    layers: tuple[_Part, ...] = Field(min_length=1, max_length=64)


class StoredModel:
    """A model in the tarball of a store: its parts, and where their bytes lie."""

    def __init__(self, name: str, model: Model, sources: Path) -> None:
        """Find a model.

        + name: MODEL:TAG
        + sources: the folder that `archive` is relative to

        Raises SealiftError where the tarball does not have it.
        """
        self._tarball = Tarball(sources / model.archive)
        manifest = self._find_manifest(name)
        where = f"{self._tarball.path}: {manifest}"
        try:
            parsed = _Manifest.model_validate(
                parse_json(self._tarball.read(manifest, _MANIFEST_LIMIT), where)
            )
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            raise SealiftError(
                f"{where}: {place} is not as Ollama writes it. Make the tarball again."
            ) from None
        self._root = manifest.split("manifests/", 1)[0]
        self.config = parsed.config.layer()
        self.layers = tuple(part.layer() for part in parsed.layers)

    def _find_manifest(self, name: str) -> str:
        path = f"manifests/{manifest_path(name)}"
        names = set(self._tarball.names())
        for candidate in (path, f"models/{path}"):
            if candidate in names:
                return candidate
        raise SealiftError(f"{self._tarball.path}: has no model {name}. It needs {path}.")

    def content(self, blob: Blob) -> Content:
        """Where a blob's bytes lie, its size checked.

        Raises SealiftError where it is missing.
        """
        content = self._tarball.find(f"{self._root}blobs/sha256-{blob.hex}")
        if content.size != blob.size:
            raise SealiftError(
                f"{self._tarball.path}: {blob.digest} has {content.size} bytes, "
                f"its manifest says {blob.size}. Make the tarball again."
            )
        return content

    def verify(self, blob: Blob, meter: Meter) -> None:
        """Hash a blob: Ollama itself never does after its download.

        Raises SealiftError where it is damaged.
        """
        found = hash_content(self.content(blob), meter.add)
        if found.digest != blob.digest:
            raise SealiftError(
                f"{self._tarball.path}: {blob.digest} is damaged, its content is {found.digest}. "
                "Pull the model again and make the tarball again."
            )


def lock_model(name: str, model: Model, sources: Path, progress: Progress) -> LockedModel:
    """Pin a model: normalise its manifest and verify its blobs.

    + name: MODEL:TAG
    + progress: told of bytes hashed

    Raises SealiftError naming what is missing or damaged.
    """
    stored = StoredModel(name, model, sources)
    parts = (stored.config, *stored.layers)
    meter = Meter(f"hashing {model.archive}", sum(part.size for part in parts), progress)
    for part in parts:
        stored.verify(part, meter)
    weights = next((layer for layer in stored.layers if layer.media_type == WEIGHTS), None)
    if weights is None:
        raise SealiftError(f"{sources / model.archive}: {name} has no weights. Is it a cloud model?")
    cost = read_context_cost(stored.content(weights), f"{model.archive}: {name}")
    return LockedModel(
        archive=model.archive,
        manifest=digest_of(_manifest_bytes(stored.config, stored.layers)),
        config=stored.config,
        layers=stored.layers,
        kv_bytes_per_token=cost.kv_bytes_per_token,
        context_length=cost.context_length,
    )


def manifest_path(name: str) -> str:
    """Where Ollama looks for a model of its library, below `manifests/`.

    + name: MODEL:TAG
    """
    return f"{LIBRARY}/{name.replace(':', '/')}"


def model_manifest(locked: LockedModel) -> bytes:
    """The manifest to place in an Ollama store, whose digest is the lock's `manifest`."""
    return _manifest_bytes(locked.config, locked.layers)


def _manifest_bytes(config: ModelLayer, layers: tuple[ModelLayer, ...]) -> bytes:
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": OLLAMA_MANIFEST,
            "config": _part(config),
            "layers": [_part(layer) for layer in layers],
        }
    )


def _part(layer: ModelLayer) -> dict[str, Any]:
    return {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}
