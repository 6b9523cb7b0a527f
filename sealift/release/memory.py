"""What a model takes in memory when Ollama has loaded it: one reckoning for the catalogue and for preflight.

It is Ollama's own, and where Ollama reckons with less than it takes, it is what it takes. Sources, all of
github.com/ollama/ollama v0.11.4: `GraphSize` and `VisionGraphSize` in `fs/ggml/ggml.go`, `EstimateGPULayers`
in `llm/memory.go`, `New` in `ml/backend/ggml/ggml.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sealift.release.types import Shape, Vision

_BATCH = 512  # tokens that Ollama reads at once
# Bytes for one element of the KV cache. Source: block_q8_0 and block_q4_0, 32 elements with a factor of two
# bytes, in ggml-common.h; Ollama itself reckons without the factor.
_ELEMENT: Mapping[str, float] = {"f16": 2, "q8_0": 34 / 32, "q4_0": 18 / 32}
# What Ollama reckons attention for; all others by a part of the KV cache.
_ATTENTION_KNOWN = {
    *("llama", "llama4", "mllama", "gemma", "gemma2", "gemma3", "gemma3n", "command-r", "qwen2", "phi2"),
    *("stablelm", "deepseek2", "chatglm"),
}
_GRAPH_TIMES = {"gemma3n": 4}
_CACHE_PART_TIMES = {"gptoss": 4}
SERVER = 128 << 20  # beside the runner; 73 to 94 MiB were resident in v0.11.4 while it served a model


@dataclass(frozen=True)
class Memory:
    """What a model takes, in bytes.

    + weights: of its files, as they are
    + embedding: of its token embedding once more: Ollama keeps it twice where it is the output layer too
    + kv_cache: of all requests that are answered at once
    + graph: the compute graph
    + images: the compute graph that looks at an image
    """

    weights: int
    embedding: int
    kv_cache: int
    graph: int
    images: int
    server: int = SERVER

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.embedding + self.kv_cache + self.graph + self.images + self.server

    @property
    def parts(self) -> dict[str, int]:
        """For people: what it is made of, without what is nothing."""
        parts = {
            "weights": self.weights + self.embedding,
            "KV cache": self.kv_cache,
            "graph": self.graph,
            "images": self.images,
            "server": self.server,
        }
        return {name: count for name, count in parts.items() if count}


def reckon(weights: int, shape: Shape, context: int, parallel: int, kv_cache_type: str = "f16") -> Memory:
    """What a model takes.

    Every layer is taken to keep the whole context, though some look back over a window only: this is too
    large rather than too small.

    + weights: bytes of its files
    + context: tokens of one request
    + parallel: requests answered at once
    + kv_cache_type: f16, q8_0 or q4_0; a model that cannot have it so gets f16
    """
    tokens = context * parallel
    kind = kv_cache_type if shape.quantizes_cache else "f16"
    cache = int(shape.kv_bytes_per_token * tokens * _ELEMENT[kind] / _ELEMENT["f16"])
    return Memory(
        weights=weights,
        embedding=shape.embedding if shape.tied else 0,
        kv_cache=cache,
        graph=_graph(shape, tokens, cache),
        images=_vision_graph(shape.vision) if shape.vision else 0,
    )


def _graph(shape: Shape, tokens: int, cache: int) -> int:
    output = 4 * _BATCH * (shape.width + shape.vocabulary)
    attention = 4 * _BATCH * (2 + tokens * (1 + shape.heads) + 4 * shape.width)
    part = 0
    if shape.architecture not in _ATTENTION_KNOWN:
        part = _CACHE_PART_TIMES.get(shape.architecture, 1) * shape.heads_per_kv_head * cache // 6
    return _GRAPH_TIMES.get(shape.architecture, 1) * max(output, attention, part)


def _vision_graph(seen: Vision) -> int:
    """Of Gemma 3 and Mistral 3 and of Qwen 2.5 VL: what either has."""
    patches = (seen.image // seen.patch) ** 2
    return 4 * (9 * seen.image**2 + seen.width * patches + patches**2 * seen.heads)


@dataclass(frozen=True)
class Window:
    """Layers that look back over so many tokens only, except every `global_every`th, which sees all."""

    tokens: int
    global_every: int


def windowed_kv_cache(bytes_per_layer: int, layers: int, window: Window, context: int, parallel: int) -> int:
    """Bytes of the KV cache of an engine that keeps no more than the window, as Ollama's does for Gemma 3.

    + bytes_per_layer: for one token, at f16
    + context: tokens of one request
    + parallel: requests answered at once
    """
    whole = layers // window.global_every
    kept = min(parallel * window.tokens + _BATCH, parallel * context)
    return bytes_per_layer * (whole * parallel * context + (layers - whole) * kept)
