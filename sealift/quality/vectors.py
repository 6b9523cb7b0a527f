"""Embeddings, compared."""

from __future__ import annotations

import math
from collections.abc import Sequence


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """How alike two embeddings are: 1 is the same direction, 0 nothing in common.

    Raises ValueError where they are not of one length, or one is nothing but zeros, or has no number in it.
    """
    lengths = math.hypot(*one), math.hypot(*other)
    product = sum(a * b for a, b in zip(one, other, strict=True))
    if not all(math.isfinite(length) and length > 0 for length in lengths):
        raise ValueError("an embedding without a direction")
    return product / (lengths[0] * lengths[1])
