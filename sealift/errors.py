"""The one error that a user is meant to read."""

from __future__ import annotations

# Foreign text in a message may be of any length, and a file may have any number of mistakes.
_LINE = 1000  # characters
_LINES = 100


class SealiftError(Exception):
    """Something is wrong that the user can mend: `where: what is wrong, what was expected. What to do.`"""

    def __init__(self, message: str) -> None:
        """Take a line per mistake. What is too long is shortened: a line in its middle, many at their end."""
        lines = message.split("\n")
        more = [f"and {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
        super().__init__("\n".join((*map(_shortened, lines[:_LINES]), *more)))


def printable(text: str) -> str:
    """Foreign text without what would move a terminal's cursor or worse; lines stay lines."""
    return "\n".join(
        line if line.isprintable() else "".join(c if c.isprintable() else "?" for c in line)
        for line in text.split("\n")
    )


def one_line(text: str) -> str:
    """Foreign text for a message: it cannot pass for a line of ours."""
    return printable(text).replace("\n", "?")


def _shortened(line: str) -> str:
    return line if len(line) <= _LINE else f"{line[: _LINE // 2]} ... {line[-_LINE // 4 :]}"
