"""What a GGUF file's header says of a model: what decides over its memory, and what kind of model it is.

Source of the keys: docs/gguf.md of github.com/ggml-org/ggml, and fs/ggml/ggml.go of ollama v0.11.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt

from sealift.content import Content
from sealift.errors import SealiftError
from sealift.release.locked_model import Shape, Vision
from sealift.sources.gguf_header import STRING, UINT32, Header, Tensor, Texts, Value

_LIMITS = {"block_count": 4096}  # the header is foreign; the largest models have about 130 layers

# The file types that Ollama knows by name, by their number. Source: fs/ggml/type.go of ollama v0.11.4.
_FILE_TYPES = {
    **{1: "F16", 2: "Q4_0", 3: "Q4_1", 4: "MXFP4", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K"},
    **{11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S"},
    **{17: "Q5_K_M", 18: "Q6_K", 21: "Q2_K_S", 32: "BF16"},
}


@dataclass(frozen=True)
class ContextCost:
    """What decides over the memory that a context costs, and how long it may be."""

    shape: Shape
    context_length: int  # tokens


@dataclass(frozen=True)
class Description:
    """What Ollama notes about a model, and what decides how it is put together."""

    family: str  # the architecture, such as gemma3
    file_type: str  # the quantization, such as Q4_K_M
    parameters: int
    is_part: bool  # an adapter or an image encoder, which is no model by itself
    has_chat_template: bool


def read_description(weights: Content, where: str) -> Description:
    """Read what `ollama create` does. Source: fs/ggml/ggml.go and server/create.go of ollama v0.11.4.

    + where: what it is, for messages

    Raises SealiftError where this is no GGUF of version 2 or 3.
    """
    header = Header(weights, where)
    found = {key: (kind, value) for key, kind, value in header.metadata()}
    metadata = {key: value for key, (_, value) in found.items()}
    family, purpose = metadata.get("general.architecture"), metadata.get("general.type")
    if not isinstance(family, str) or not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", family):
        raise SealiftError(f"{where}: general.architecture is {family!r}, expected a name. Is it a model?")
    layers, encoder = metadata.get(f"{family}.block_count"), metadata.get(f"{family}.vision.block_count")
    is_part = purpose in ("adapter", "projector") or (not layers and bool(encoder))
    kind, file_type = found.get("general.file_type", (None, None))
    template_kind, template = found.get("tokenizer.chat_template", (None, None))
    return Description(
        family=family,
        # of another type it is none for Ollama
        file_type=_FILE_TYPES.get(file_type, "unknown")
        if kind == UINT32 and isinstance(file_type, int)
        else "unknown",
        parameters=sum(tensor.elements for tensor in header.tensors()),
        is_part=is_part,
        has_chat_template=template_kind == STRING and template != "",
    )


def read_context_cost(weights: Content, where: str) -> ContextCost:
    """Read what decides over a model's memory.

    A token's KV cache is an upper bound: a model whose layers look back over a window only (Gemma 3) keeps
    less.

    + weights: a GGUF file
    + where: what it is, for messages

    Raises EndsEarlyError where the header is not whole, SealiftError where this is no GGUF of version 2 or 3,
    or lacks a figure.
    """
    header = Header(weights, where)
    figures = _Figures({key: value for key, _, value in header.metadata()}, where)
    return ContextCost(_shape(figures, tuple(header.tensors())), figures.number("context_length"))


def _shape(figures: _Figures, tensors: Sequence[Tensor]) -> Shape:
    layers, width = figures.number("block_count"), figures.number("embedding_length")
    heads = figures.per_layer("attention.head_count", layers)
    kv_heads = figures.per_layer("attention.head_count_kv", layers, max(heads))
    # a model may have layers without attention
    head = width // min(filter(None, heads), default=1)
    key = figures.number("attention.key_length", head)
    value = figures.number("attention.value_length", head)
    embedding = sum(tensor.bytes for tensor in tensors if tensor.name == "token_embd.weight")
    return Shape(
        architecture=figures.architecture,
        layers=layers,
        heads=max(*heads, 1),
        heads_per_kv_head=max(1, max(heads) // min(filter(None, kv_heads), default=1)),
        width=width,
        vocabulary=figures.vocabulary,
        kv_bytes_per_token=2 * sum(kv_heads) * (key + value),
        # Source: `SupportsFlashAttention` in fs/ggml/ggml.go of ollama v0.11.4.
        quantizes_cache=key == value and not figures.embeds and figures.architecture != "gptoss",
        embedding=embedding,
        tied=not any(tensor.name.startswith("output.") for tensor in tensors),
        vision=_vision(figures),
        embeds=figures.embeds,
    )


def _vision(figures: _Figures) -> Vision | None:
    """The image encoder; what it does not say is that of Qwen 2.5 VL, whose images have any shape."""
    if not figures.has("vision.block_count"):
        return None
    pixels = figures.number("vision.max_pixels", 28 * 28 * 1280)
    return Vision(
        image=figures.number("vision.image_size", isqrt(pixels) + 1),
        patch=figures.number("vision.patch_size", 14),
        width=figures.number("vision.embedding_length", 1280),
        heads=figures.number("vision.attention.head_count", 16),
    )


class _Figures:
    """The metadata of one model, by keys without its architecture."""

    def __init__(self, metadata: Mapping[str, Value], where: str) -> None:
        self._metadata, self._where = metadata, where
        self._name = metadata.get("general.architecture")

    @property
    def architecture(self) -> str:
        """Such as gemma3."""
        return str(self._name)

    @property
    def vocabulary(self) -> int:
        """Tokens; none is 0."""
        tokens = self._metadata.get("tokenizer.ggml.tokens")
        return tokens.count if isinstance(tokens, Texts) else 0

    @property
    def embeds(self) -> bool:
        """Whether it makes embeddings. Source: `Capabilities` in server/images.go of ollama v0.11.4."""
        return f"{self._name}.pooling_type" in self._metadata

    def has(self, key: str) -> bool:
        """Whether a figure is there, and not 0."""
        return bool(self._metadata.get(f"{self._name}.{key}"))

    def number(self, key: str, default: int | None = None) -> int:
        """A figure. Raises SealiftError where it is none, or is missing without a default."""
        value = self._metadata.get(f"{self._name}.{key}", default)
        limit = _LIMITS.get(key, 1 << 32)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < limit:
            raise SealiftError(
                f"{self._where}: {self._name}.{key} is {value!r}, expected a number. Is it a model?"
            )
        return value

    def per_layer(self, key: str, layers: int, default: int | None = None) -> tuple[int, ...]:
        """A figure of each layer, whether it is said once or for each."""
        value = self._metadata.get(f"{self._name}.{key}")
        if isinstance(value, tuple) and len(value) == layers and all(0 <= n < 1 << 32 for n in value):
            return value
        return (self.number(key, default),) * layers
