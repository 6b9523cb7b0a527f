"""What a lock pins of a model."""

from __future__ import annotations

from pydantic import Field

from sealift.blob import Blob
from sealift.release.values import Frozen, Many, MediaType, SourcePath, is_empty, is_none

# Media type of a model's weights, in Ollama's manifests.
WEIGHTS = "application/vnd.ollama.image.model"
SYSTEM = "application/vnd.ollama.image.system"
PARAMETERS = "application/vnd.ollama.image.params"
_PROJECTOR = "application/vnd.ollama.image.projector"
_IN_MEMORY = (WEIGHTS, _PROJECTOR, "application/vnd.ollama.image.adapter")


class ModelLayer(Blob):
    """A layer of an Ollama model: weights, template, parameters, licence."""

    media_type: MediaType


class Vision(Frozen):
    """What decides over the memory that looking at an image takes."""

    image: int = Field(ge=1, description="pixels of a side")
    patch: int = Field(ge=1, description="pixels of a patch's side")
    width: int = Field(ge=1, description="the encoder's embedding length")
    heads: int = Field(ge=1, description="the encoder's attention heads")


class Shape(Frozen):
    """What decides over a model's memory, beside the size of its weights: see sealift/release/memory.py."""

    architecture: str = Field(description="as GGUF names it, such as gemma3")
    layers: int = Field(ge=1)
    heads: int = Field(ge=1, description="attention heads, of the layer with the most")
    heads_per_kv_head: int = Field(ge=1, description="of the layer with the most")
    width: int = Field(ge=1, description="embedding length")
    vocabulary: int = Field(ge=0, description="tokens")
    kv_bytes_per_token: int = Field(ge=0, description="bytes of KV cache for one token of context, at f16")
    quantizes_cache: bool = Field(description="whether the KV cache can be q8_0 or q4_0")
    embedding: int = Field(ge=0, description="bytes of the token embedding")
    tied: bool = Field(description="whether the token embedding is the output layer too")
    vision: Vision | None = Field(default=None, exclude_if=is_none)
    embeds: bool = Field(
        default=False, exclude_if=is_empty, description="whether it makes embeddings, and no words"
    )


class LockedModel(Frozen):
    """A model: Ollama's manifest, normalised to JSON without local paths, and the blobs it names."""

    archive: SourcePath | None = Field(
        default=None,
        exclude_if=is_none,
        description="or store or Modelfile: the path that it is out of, if it is",
    )
    manifest: Blob
    config: ModelLayer
    layers: Many[ModelLayer]
    context_length: int = Field(ge=1, description="the longest context the model was trained for, in tokens")
    shape: Shape = Field(description="what decides over its memory")
    parameters: str | None = Field(
        default=None,
        exclude_if=is_none,
        description="its layer of parameters, which those of roles are merged into",
    )

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """Config and layers: what lies in an Ollama store's `blobs/`.

        As plain blobs, for what a layer is for does not matter to a store: a layer equals no plain blob.
        """
        return tuple(Blob(digest=layer.digest, size=layer.size) for layer in (self.config, *self.layers))

    @property
    def embeds(self) -> bool:
        """Whether it makes embeddings, and no words."""
        return self.shape.embeds

    @property
    def sees(self) -> bool:
        """Whether it looks at images: with an encoder among its weights, or in a file of its own."""
        return self.shape.vision is not None or any(layer.media_type == _PROJECTOR for layer in self.layers)

    @property
    def weights(self) -> int:
        """Bytes of the weights, those of image encoders and adapters too."""
        return sum(layer.size for layer in self.layers if layer.media_type in _IN_MEMORY)
