"""What a host prints about itself: `KEY=VALUE` lines."""

from __future__ import annotations

from sealift.errors import printable


def key_values(text: str) -> dict[str, list[str]]:
    """The values of each key, in their order, fit for a terminal; lines of other kinds are passed over."""
    found: dict[str, list[str]] = {}
    for line in printable(text).splitlines():
        key, is_fact, value = line.partition("=")
        if is_fact:
            found.setdefault(key, []).append(value)
    return found
