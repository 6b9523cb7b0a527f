"""What the header of weights says of a model's memory, and headers that lie or end early."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from sealift.content import Content
from sealift.errors import SealiftError
from sealift.release.locked_model import Shape, Vision
from sealift.sources.gguf import read_context_cost
from tests.unit import samples


def _cost(tmp_path: Path, content: bytes) -> tuple[int, int]:
    (tmp_path / "model.gguf").write_bytes(content)
    cost = read_context_cost(Content.of_file(tmp_path / "model.gguf"), "model.gguf")
    return cost.shape.kv_bytes_per_token, cost.context_length


def test_context_costs_of_models_that_say_less_or_say_it_per_layer(tmp_path: Path) -> None:
    plain = {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.context_length": 2048,
        "llama.embedding_length": 512,
        "llama.attention.head_count": 8,
    }
    assert _cost(tmp_path, samples.gguf(plain)) == (2 * 2 * 8 * 128, 2048)
    per_layer = {**plain, "llama.attention.head_count_kv": [4, 2]}
    assert _cost(tmp_path, samples.gguf(per_layer, version=2)) == (2 * 6 * 128, 2048)


def _shape(tmp_path: Path, keys: dict[str, Any], tensors: tuple[str, ...] = (), kind: int = 0) -> Shape:
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(tensors, (640, 3))
    (tmp_path / "model.gguf").write_bytes(samples.gguf(keys, tensors=shapes, tensor_type=kind))
    return read_context_cost(Content.of_file(tmp_path / "model.gguf"), "model.gguf").shape


def test_the_header_says_what_decides_over_memory(tmp_path: Path) -> None:
    shape = _shape(tmp_path, samples.GEMMA, ("token_embd.weight", "output_norm.weight"), kind=8)
    assert shape == Shape(
        architecture="gemma3",
        layers=18,
        heads=4,
        heads_per_kv_head=4,
        width=640,
        vocabulary=3,
        kv_bytes_per_token=2 * 18 * 512,
        quantizes_cache=True,
        embedding=640 * 3 // 32 * 34,  # Q8_0: 32 elements in 34 bytes
        tied=True,
    )
    own = _shape(tmp_path, samples.GEMMA, ("token_embd.weight", "output.weight"), kind=1)
    assert (own.embedding, own.tied) == (640 * 3 * 2, False)


@pytest.mark.parametrize("more", [{"gemma3.pooling_type": 1}, {"gemma3.attention.value_length": 128}])
def test_a_cache_that_ollama_does_not_quantize_is_known(tmp_path: Path, more: dict[str, int]) -> None:
    assert _shape(tmp_path, samples.GEMMA).quantizes_cache
    assert not _shape(tmp_path, {**samples.GEMMA, **more}).quantizes_cache


def test_a_model_that_makes_embeddings_is_known(tmp_path: Path) -> None:
    assert not _shape(tmp_path, samples.GEMMA).embeds
    assert _shape(tmp_path, {**samples.GEMMA, "gemma3.pooling_type": 1}).embeds


def test_an_image_encoder_is_known(tmp_path: Path) -> None:
    assert _shape(tmp_path, samples.GEMMA).vision is None
    seen = {
        "gemma3.vision.block_count": 27,
        "gemma3.vision.image_size": 896,
        "gemma3.vision.patch_size": 14,
        "gemma3.vision.embedding_length": 1152,
        "gemma3.vision.attention.head_count": 16,
    }
    assert _shape(tmp_path, {**samples.GEMMA, **seen}).vision == Vision(
        image=896, patch=14, width=1152, heads=16
    )


def test_every_truncation_of_a_gguf_header_is_refused(tmp_path: Path) -> None:
    whole = samples.gguf(samples.GEMMA, tensors={"token_embd.weight": (640, 3)})
    for length in range(0, len(whole), 37):
        with pytest.raises(SealiftError, match=r"ends within its header"):
            _cost(tmp_path, whole[:length])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GGML" + bytes(100), "is no GGUF file"),
        (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "GGUF version 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), "keys"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 60), "part of"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 8, 1 << 62), "part of"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 99), "value of type 99"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "expected a number"),
        (samples.gguf({**samples.GEMMA, "gemma3.block_count": 5000}), "block_count is 5000, expected"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "tensors"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 1, 0, 1, b"t", 99), "a tensor of 99 dimensions"),
        (b"GGUF" + struct.pack("<IQQQ1sI2Q", 3, 1, 0, 1, b"t", 2, 1 << 62, 4), "elements"),
    ],
)
def test_a_gguf_that_lies_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(SealiftError, match=message):
        _cost(tmp_path, content)
