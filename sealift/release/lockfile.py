"""The lock as a file: one canonical form, so that equal locks are equal bytes."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from sealift.errors import SealiftError
from sealift.files import canonical_json, parse_json, read_limited
from sealift.release.types import Lock

LOCK_LIMIT = 64 << 20  # bytes; a package takes about 2,000 of them


def load_lock(path: Path) -> Lock:
    """Read a lock.

    Raises SealiftError where it is not one that `sealift lock` wrote.
    """
    return parse_lock(read_limited(path, LOCK_LIMIT), str(path))


def parse_lock(content: bytes, where: str) -> Lock:
    """Parse a lock's bytes.

    + where: what it is, for messages

    Raises SealiftError with a line per mistake.
    """
    try:
        return Lock.model_validate(parse_json(content, where))
    except ValidationError as error:
        lines = (
            f"{where}: {'.'.join(map(str, e['loc']))}: {e['msg']}. Make it again with sealift lock."
            for e in error.errors()
        )
        raise SealiftError("\n".join(lines)) from None


def dump_lock(lock: Lock) -> bytes:
    """The lock's bytes: sorted keys, one space of indent, a newline at the end."""
    return canonical_json(lock.model_dump(mode="json"), indent=1)
