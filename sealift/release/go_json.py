"""JSON as Go's encoding/json writes it: Ollama's small layers have the digests of such bytes."""

from __future__ import annotations

import json
import re
import struct
from decimal import Decimal

Value = int | float | bool | str | tuple[str, ...]
"""Of a parameter of a model."""


def go_json(value: object) -> str:
    """Without blanks, and with what HTML or JavaScript would take for its own escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def go_line(value: object) -> bytes:
    """The same with a newline, as Go's encoder ends what it writes."""
    return f"{go_json(value)}\n".encode()


def go_value(value: Value) -> str:
    """A parameter as the server writes it, for which every number is a float64.

    Source: floatEncoder in encoding/json/encode.go of Go.
    """
    if isinstance(value, bool | str | tuple):
        return go_json(value)
    number = float(value)
    if number == 0 or 1e-6 <= abs(number) < 1e21:
        return f"{Decimal(repr(number)):f}".removesuffix(".0")
    return re.sub(r"e-0(\d)$", r"e-\1", repr(number))


def single(value: float) -> float | None:
    """What Go writes for a float32: the shortest number that is the same float32. None beyond its range."""
    wanted = _packed(value)
    if wanted is None:
        return None
    (found,) = struct.unpack("<f", wanted)
    candidates = (float(f"{found:.{digits}g}") for digits in range(1, 10))
    return next(short for short in candidates if _packed(short) == wanted)


def _packed(value: float) -> bytes | None:
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return None
