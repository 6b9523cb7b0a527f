"""The one error that a user is meant to read."""

from __future__ import annotations


class SealiftError(Exception):
    """Something is wrong that the user can mend: `where: what is wrong, what was expected. What to do.`"""


def printable(text: str) -> str:
    """Foreign text without what would move a terminal's cursor or worse; lines stay lines."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
