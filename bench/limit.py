"""The limit: what hashlib does with files out of the page cache. `python -m bench.limit THREADS FOLDER`"""

from __future__ import annotations

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_CHUNK = 1 << 20  # bytes; hashlib.file_digest, with a quarter of that, took half as long again


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex, by the standard library alone."""
    made = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            made.update(chunk)
    return made.hexdigest()


if __name__ == "__main__":
    files = sorted(Path(sys.argv[2]).iterdir(), key=lambda path: -path.stat().st_size)  # the biggest first
    with ThreadPoolExecutor(int(sys.argv[1])) as pool:
        print(*pool.map(digest, files), sep="\n")
