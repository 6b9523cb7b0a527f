"""The digest of the deployment code that runs here: control nodes know by it that theirs is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[2]
# All that decides what becomes of hosts and what is claimed of them.
_FILES = ("config.py", "deploy.py")
_FOLDERS = ("files", "sealift", "tasks", "templates", "tests/hosts")


@cache
def code_digest() -> str:
    """SHA-256 over the lines of `sha256sum` for all files of the code, sorted by their paths.

    By hand, in the deployment's folder: docs/promotion.md.
    """
    return digest_of_code(_ROOT)


def digest_of_code(root: Path) -> str:
    """The digest of a deployment's code.

    + root: its folder
    """
    lines = (
        f"{hashlib.sha256((root / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(_names(root))
    )
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def _names(root: Path) -> Iterator[str]:
    """What Python leaves behind when it runs is not code."""
    yield from _FILES
    for folder in _FOLDERS:
        for path in (root / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(root))
