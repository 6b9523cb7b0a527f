"""Sizes as people write them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"([1-9][0-9]{0,15})(?:([MGT])(?:iB)?)?", re.ASCII)
_SHIFT = {None: 0, "M": 20, "G": 30, "T": 40}


def parse_binary(text: str) -> int | None:
    """Bytes: a number alone, or with M, G or T for MiB, GiB, TiB. None where it is neither."""
    found = _SIZE.fullmatch(text)
    return int(found[1]) << _SHIFT[found[2]] if found else None
