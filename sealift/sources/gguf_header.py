"""A GGUF file's header: its metadata, and what tensors it has.

Source of the format: docs/gguf.md of github.com/ggml-org/ggml. The file is foreign: everything is bounded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from sealift.content import Content
from sealift.errors import SealiftError

_HEADER_LIMIT = 256 << 20  # bytes; the biggest part of a header is its vocabulary
_KEYS = 4096
_KEY_LENGTH = 1024  # bytes
_ELEMENTS = 1 << 24  # of an array; vocabularies have about 2**18
_KEPT = 4096  # elements of an array that are kept: one per layer is what we look for
_TENSORS = 1 << 16
_DIMENSIONS = 8  # of a tensor; the format itself has four
UINT32, STRING, _ARRAY = 4, 8, 9
# type number -> struct format
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# type number -> (elements of a block, its bytes). Source: enum ggml_type in ggml.h, and the blocks of
# ggml-common.h. What is not here is taken for F32, than which nothing is larger.
_BLOCKS = {
    **{1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36)},
    **{10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292)},
    30: (1, 2),
}
_F32 = (1, 4)


@dataclass(frozen=True)
class Texts:
    """An array of texts, of which only the number is kept."""

    count: int


Value = int | float | bool | str | tuple[int, ...] | Texts | None


class EndsEarlyError(SealiftError):
    """There is more of the header than was given."""


@dataclass(frozen=True)
class Tensor:
    """A tensor, as the header describes it."""

    name: str
    elements: int
    type: int

    @property
    def bytes(self) -> int:
        """What it takes, without padding."""
        elements, size = _BLOCKS.get(self.type, _F32)
        return -(-self.elements // elements) * size


class Header:
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

    def tensors(self) -> Iterator[Tensor]:
        """Every tensor: they stand behind the metadata, which must have been read."""
        if self._tensors > _TENSORS:
            raise self._wrong(f"has {self._tensors} tensors")
        for _ in range(self._tensors):
            name = self._take(self._length(_KEY_LENGTH)).decode(errors="replace")
            dimensions = self._number("I")
            if dimensions > _DIMENSIONS:
                raise self._wrong(f"has a tensor of {dimensions} dimensions")
            elements = prod(self._number("Q") for _ in range(dimensions))
            if elements >= 1 << 48:
                raise self._wrong(f"has a tensor of {elements} elements")
            kind = self._number("I")
            self._number("Q")  # offset
            yield Tensor(name, elements, kind)

    def _value(self, kind: int) -> Value:
        if kind == STRING:
            length = self._length(_HEADER_LIMIT)
            if length <= _KEY_LENGTH:
                return self._take(length).decode(errors="replace")
            self._skip(length)
            return None
        if kind == _ARRAY:
            return self._array(self._number("I"), self._length(_ELEMENTS))
        return self._scalar(kind)

    def _array(self, kind: int, count: int) -> Value:
        if kind == STRING:
            for _ in range(count):
                self._skip(self._length(_HEADER_LIMIT))
            return Texts(count)
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
