"""The folder for what is costly to fetch or to make, and can be fetched or made again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where caches are: SEALIFT_CACHE, else `sealift` below XDG_CACHE_HOME or ~/.cache.

    + environment: of the process
    """
    default = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sealift"
    return Path(environment.get("SEALIFT_CACHE") or default).resolve()
