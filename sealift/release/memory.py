"""What a model takes in memory when Ollama has loaded it: one reckoning for the catalogue and for preflight.

It is Ollama's own, and where Ollama reckons with less than it takes, it is what it takes. Sources, all of
github.com/ollama/ollama v0.11.4: `GraphSize` and `VisionGraphSize` in `fs/ggml/ggml.go`, `EstimateGPULayers`
in `llm/memory.go`, `New` in `ml/backend/ggml/ggml.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sealift.release.locked_model import Shape, Vision

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
# What Ollama leaves to a GPU's driver. Source: `cudaMinimumMemory` in discover/gpu.go.
GPU_MINIMUM = 457 << 20
_SERVER = 128 << 20  # beside the runner; 73 to 94 MiB were resident in v0.11.4 while it served a model
# Attention masks, 4 bytes for each token of a batch and of the context: Ollama's engine makes new ones for
# each batch in the host's memory and leaves the old to its garbage collector. It does not reckon with them; 7
# to 12 were resident when Gemma 3 270M was measured: see docs/models.md.
_MASKS = 12


@dataclass(frozen=True)
class Memory:
    """What a model takes, in bytes.

    + weights: of its files, and of what is kept twice
    + kv_cache: of all requests that are answered at once
    + graph: the compute graph
    + images: the compute graph that looks at an image
    + rest: beside the model: server and masks; on GPUs, what a driver keeps and what Ollama leaves free
    """

    weights: int
    kv_cache: int
    graph: int
    images: int
    rest: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv_cache + self.graph + self.images + self.rest

    @property
    def parts(self) -> dict[str, int]:
        """For people: what it is made of, without what is nothing."""
        parts = {
            "weights": self.weights,
            "KV cache": self.kv_cache,
            "graph": self.graph,
            "images": self.images,
            "rest": self.rest,
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
        # Ollama keeps an embedding that is the output layer too twice
        weights=weights + (shape.embedding if shape.tied else 0),
        kv_cache=cache,
        graph=_graph(shape, tokens, cache),
        images=_vision_graph(shape.vision) if shape.vision else 0,
        rest=_beside(tokens),
    )


def reckon_on_gpus(alone: Memory, shape: Shape, gpus: int) -> Memory:
    """What a model takes of GPUs' memory when all of it is there.

    Each GPU has a graph, room for one more layer and what its driver keeps; of several the graph is larger.

    + alone: what it takes without a GPU
    + gpus: over how many it is spread
    """
    kept_by_host = shape.embedding if shape.tied else 0
    spread = shape.width * shape.vocabulary * 105 // 128 if gpus > 1 else 0
    weights = alone.weights - kept_by_host
    layer = (weights + alone.kv_cache) // shape.layers
    return Memory(
        weights=weights,
        kv_cache=alone.kv_cache,
        graph=gpus * (alone.graph + spread),
        images=alone.images,
        rest=gpus * (layer + GPU_MINIMUM),
    )


def reckon_beside_gpus(alone: Memory, shape: Shape) -> int:
    """Bytes of the host's own memory for a model that is on GPUs: the token embedding, and what is no model.

    + alone: what it takes without a GPU
    """
    return alone.rest + shape.embedding


def _beside(tokens: int) -> int:
    return _SERVER + 4 * _BATCH * tokens * _MASKS


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
