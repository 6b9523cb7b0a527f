"""A model's manifest: what it consists of, and where Ollama's store keeps it.

Source of the format: server/manifest.go and server/modelpath.go of github.com/ollama/ollama.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field, ValidationError

from sealift import mistakes
from sealift.blob import Blob
from sealift.errors import SealiftError
from sealift.files import canonical_json, parse_json
from sealift.release.locked_model import WEIGHTS, LockedModel, ModelLayer
from sealift.release.values import Digest, Foreign, Many, MediaType

MANIFEST_LIMIT = 1 << 20  # bytes
OLLAMA_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
# Where Ollama keeps its own models, below `manifests/`.
LIBRARY = "registry.ollama.ai/library"


class _Part(Foreign):
    """A blob of a manifest. Other keys, such as `from`, are paths of the machine that made it: dropped."""

    media_type: MediaType = Field(alias="mediaType")
    digest: Digest
    size: int = Field(ge=0, lt=1 << 53)


def _layer(part: _Part) -> ModelLayer:
    return ModelLayer(digest=part.digest, size=part.size, media_type=part.media_type)


class _Manifest(Foreign):
    config: _Part
    layers: Many[_Part] = Field(min_length=1, max_length=64)


@dataclass(frozen=True)
class ModelManifest:
    """What a model consists of."""

    config: ModelLayer
    layers: tuple[ModelLayer, ...]

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Config and layers, as plain blobs: what lies in an Ollama store's `blobs/`."""
        return tuple(Blob(digest=layer.digest, size=layer.size) for layer in (self.config, *self.layers))


def parse_model(content: bytes, where: str) -> ModelManifest:
    """Parse a manifest as Ollama or its registry wrote it, leaving out all that is not of the model.

    + where: what it is, for messages

    Raises SealiftError where it is none.
    """
    try:
        parsed = _Manifest.model_validate(parse_json(content, where))
    except ValidationError as error:
        place = mistakes.place(error.errors()[0])
        raise SealiftError(
            f"{where}: {place} is not as Ollama writes it. Pull or make the model again."
        ) from None
    return ModelManifest(_layer(parsed.config), tuple(map(_layer, parsed.layers)))


def weights_of(manifest: ModelManifest, where: str) -> ModelLayer:
    """The layer with the weights.

    Raises SealiftError where there is none.
    """
    for layer in manifest.layers:
        if layer.media_type == WEIGHTS:
            return layer
    raise SealiftError(f"{where}: has no weights. Is it a cloud model?")


def manifest_path(name: str) -> str:
    """Where Ollama looks for a model of its library, below `manifests/`.

    + name: MODEL:TAG
    """
    return f"{LIBRARY}/{name.replace(':', '/')}"


def model_manifest(locked: LockedModel) -> bytes:
    """The manifest to place in an Ollama store, whose digest is the lock's `manifest`."""
    return manifest_bytes(ModelManifest(locked.config, locked.layers))


def manifest_bytes(manifest: ModelManifest) -> bytes:
    """A manifest as it is written here, whatever form it was read in."""
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": OLLAMA_MANIFEST,
            "config": _part(manifest.config),
            "layers": [_part(layer) for layer in manifest.layers],
        }
    )


def _part(layer: ModelLayer) -> dict[str, Any]:
    return {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}
