"""What a GGUF file's header says of a model: how much memory a context takes, and what kind of model it is.

Source of the format: docs/gguf.md of github.com/ggml-org/ggml. The file is foreign: everything is bounded.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sealift.blobs import Content
from sealift.errors import SealiftError

_HEADER_LIMIT = 256 << 20  # bytes; the biggest part of a header is its vocabulary
_KEYS = 4096
_KEY_LENGTH = 1024  # bytes
_ELEMENTS = 1 << 24  # of an array; vocabularies have about 2**18
_KEPT = 4096  # elements of an array that are kept: one per layer is what we look for
_TENSORS = 1 << 16
_DIMENSIONS = 8  # of a tensor; the format itself has four
_UINT32, _STRING, _ARRAY = 4, 8, 9
# type number -> struct format
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

# The file types that Ollama knows by name, by their number. Source: fs/ggml/type.go of ollama v0.11.4.
_FILE_TYPES = {
    **{1: "F16", 2: "Q4_0", 3: "Q4_1", 4: "MXFP4", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K"},
    **{11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S"},
    **{17: "Q5_K_M", 18: "Q6_K", 21: "Q2_K_S", 32: "BF16"},
}

Value = int | float | bool | str | tuple[int, ...] | None


class EndsEarlyError(SealiftError):
    """There is more of the header than was given."""


@dataclass(frozen=True)
class ContextCost:
    """What a context costs, and how long it may be."""

    kv_bytes_per_token: int  # bytes at f16
    context_length: int  # tokens


@dataclass(frozen=True)
class Description:
    """What Ollama notes about a model, and what decides how it is put together."""

    family: str  # the architecture, such as gemma3
    file_type: str  # the quantization, such as Q4_K_M
    parameters: int
    is_part: bool  # an adapter or an image encoder, which is no model by itself
    has_chat_template: bool
    cost: ContextCost


def read_description(weights: Content, where: str) -> Description:
    """Read what `ollama create` does. Source: fs/ggml/ggml.go and server/create.go of ollama v0.11.4.

    + where: what it is, for messages

    Raises SealiftError where this is no GGUF of version 2 or 3, or lacks a figure.
    """
    reader = _Reader(weights, where)
    found = {key: (kind, value) for key, kind, value in reader.metadata()}
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
        if kind == _UINT32 and isinstance(file_type, int)
        else "unknown",
        parameters=reader.parameters(),
        is_part=is_part,
        has_chat_template=template_kind == _STRING and template != "",
        cost=ContextCost(0, 0) if is_part else _context_cost(metadata, where),
    )


def read_context_cost(weights: Content, where: str) -> ContextCost:
    """Work out what a token of context costs.

    This is an upper bound: a model whose layers look back over a window only (Gemma 3) keeps less.

    + weights: a GGUF file
    + where: what it is, for messages

    Raises EndsEarlyError where the header is not whole, SealiftError where this is no GGUF of version 2 or 3,
    or lacks a figure.
    """
    return _context_cost({key: value for key, _, value in _Reader(weights, where).metadata()}, where)


def _context_cost(metadata: Mapping[str, Value], where: str) -> ContextCost:
    name = metadata.get("general.architecture")

    def figure(key: str, default: int | None = None) -> int:
        value = metadata.get(f"{name}.{key}", default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 32:
            raise SealiftError(f"{where}: {name}.{key} is {value!r}, expected a number. Is it a model?")
        return value

    layers = figure("block_count")
    per_layer = metadata.get(f"{name}.attention.head_count_kv")
    if isinstance(per_layer, tuple) and len(per_layer) == layers and all(0 <= n < 1 << 32 for n in per_layer):
        kv_heads = sum(per_layer)
    else:
        heads = metadata.get(f"{name}.attention.head_count")
        kv_heads = layers * figure("attention.head_count_kv", heads if isinstance(heads, int) else None)
    width = None
    if f"{name}.attention.key_length" not in metadata or f"{name}.attention.value_length" not in metadata:
        width = figure("embedding_length") // figure("attention.head_count")
    key, value = figure("attention.key_length", width), figure("attention.value_length", width)
    return ContextCost(2 * kv_heads * (key + value), figure("context_length"))


class _Reader:
    """Walks a header without ever holding more than a chunk and a string of it."""

    def __init__(self, content: Content, where: str) -> None:
        self._where = where
        limited = Content(content.path, content.offset, min(content.size, _HEADER_LIMIT))
        self._chunks = limited.chunks()
        self._buffer = b""
        self._position = 0
        self._tensors = 0

    def metadata(self) -> Iterator[tuple[str, int, Value]]:
        """Every key with its type and its value; None for what is not kept."""
        if self._take(4) != b"GGUF":
            raise self._wrong("is no GGUF file")
        version = self._number("I")
        if version not in (2, 3):
            raise self._wrong(f"is GGUF version {version}, expected 2 or 3")
        self._tensors = self._number("Q")
        count = self._number("Q")
        if count > _KEYS:
            raise self._wrong(f"has {count} keys")
        for _ in range(count):
            key = self._take(self._length(_KEY_LENGTH)).decode(errors="replace")
            kind = self._number("I")
            yield key, kind, self._value(kind)

    def parameters(self) -> int:
        """The elements of all tensors, which stand after the metadata: read that to its end before."""
        if self._tensors > _TENSORS:
            raise self._wrong(f"has {self._tensors} tensors")
        total = 0
        for _ in range(self._tensors):
            self._skip(self._length(_KEY_LENGTH))
            dimensions = self._number("I")
            if dimensions > _DIMENSIONS:
                raise self._wrong(f"has a tensor of {dimensions} dimensions")
            total += math.prod(self._number("Q") for _ in range(dimensions))
            self._take(12)  # type and offset
        if total >= 1 << 63:
            raise self._wrong(f"has {total} parameters")
        return total

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            length = self._length(_HEADER_LIMIT)
            if length <= _KEY_LENGTH:
                return self._take(length).decode(errors="replace")
            self._skip(length)
            return None
        if kind == _ARRAY:
            return self._array(self._number("I"), self._length(_ELEMENTS))
        return self._scalar(kind)

    def _array(self, kind: int, count: int) -> Value:
        if kind == _STRING:
            for _ in range(count):
                self._skip(self._length(_HEADER_LIMIT))
            return None
        if kind not in _SCALARS:
            raise self._wrong(f"has an array of type {kind}")
        if count > _KEPT or _SCALARS[kind] in "fd?":
            self._skip(count * struct.calcsize(f"<{_SCALARS[kind]}"))
            return None
        return tuple(self._number(_SCALARS[kind]) for _ in range(count))

    def _scalar(self, kind: int) -> Value:
        if kind not in _SCALARS:
            raise self._wrong(f"has a value of type {kind}")
        form = f"<{_SCALARS[kind]}"
        (value,) = struct.unpack(form, self._take(struct.calcsize(form)))
        return value if isinstance(value, bool | int | float) else None

    def _number(self, form: str) -> int:
        (value,) = struct.unpack(f"<{form}", self._take(struct.calcsize(f"<{form}")))
        return int(value)

    def _length(self, limit: int) -> int:
        length = self._number("Q")
        if length > limit:
            raise self._wrong(f"has a part of {length} bytes or elements")
        return length

    def _take(self, count: int) -> bytes:
        end = self._position + count
        while len(self._buffer) < end:
            self._buffer = self._buffer[self._position :] + self._next_chunk()
            self._position, end = 0, count
        taken = self._buffer[self._position : end]
        self._position = end
        return taken

    def _skip(self, count: int) -> None:
        while count > len(self._buffer) - self._position:
            count -= len(self._buffer) - self._position
            self._buffer, self._position = self._next_chunk(), 0
        self._position += count

    def _next_chunk(self) -> bytes:
        chunk = next(self._chunks, b"")
        if not chunk:
            raise EndsEarlyError(f"{self._where}: ends within its header. Is it a model that Ollama runs?")
        return chunk

    def _wrong(self, what: str) -> SealiftError:
        return SealiftError(f"{self._where}: {what}. Is it a model that Ollama runs?")
