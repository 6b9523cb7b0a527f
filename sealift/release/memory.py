"""What a model takes in memory when Ollama has loaded it, as Ollama itself reckons.

Source: `GraphSize`, `VisionGraphSize` and `kvCacheBytesPerElement` in `fs/ggml/ggml.go`, and
`EstimateGPULayers` in `llm/memory.go`, of github.com/ollama/ollama v0.11.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Bytes for one element of the KV cache, against f16's two.
_OF_F16: Mapping[str, float] = {"f16": 1.0, "q8_0": 0.5, "q4_0": 0.25}

_BATCH = 512  # tokens that Ollama reads at once
_EMBEDDING, _VOCABULARY = 5376, 262144  # the largest of the catalogue: Gemma 3
# The compute graph of the output layer, the largest one where vocabularies are large.
_OUTPUT_GRAPH = 4 * _BATCH * (_EMBEDDING + _VOCABULARY)
_SERVER = 128 << 20  # beside the runner; 94 MiB were resident in v0.11.4 while it served a model

# What the engine takes beside weights and KV cache, while contexts are short.
ENGINE = _OUTPUT_GRAPH + _SERVER


def kv_cache(bytes_per_token: int, tokens: int, kind: str = "f16") -> int:
    """Bytes of the KV cache, with every layer keeping the whole context.

    Ollama reckons less for layers that look back over a window only: this is too large rather than too small.

    + bytes_per_token: at f16, all layers together
    + tokens: context * requests answered at once
    + kind: f16, q8_0 or q4_0
    """
    return int(bytes_per_token * tokens * _OF_F16[kind])


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


def engine(tokens: int, heads: int, times: int = 1) -> int:
    """Bytes that the engine takes beside weights and KV cache: the server and the compute graph.

    + tokens: context * requests answered at once; the attention graph grows with them
    + heads: attention heads
    + times: what Ollama multiplies the graph by for this architecture (4 for gemma3n)
    """
    attention = 4 * _BATCH * (2 + tokens * (1 + heads) + 4 * _EMBEDDING)
    return times * max(_OUTPUT_GRAPH, attention) + _SERVER


def vision_graph(image: int, patch: int, width: int, heads: int) -> int:
    """Bytes of the compute graph that looks at an image (Gemma 3).

    + image: pixels of a side
    + patch: pixels of a patch's side
    + width: the encoder's embedding length
    + heads: its attention heads
    """
    patches = (image // patch) ** 2
    return 4 * (image * image * 3 + width * patch + patches * patches * heads)
