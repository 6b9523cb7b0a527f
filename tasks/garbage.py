"""What a host keeps of former releases: as much as it needs to go back once."""

from __future__ import annotations

from pyinfra.api import deploy

from sealift.operations.garbage import garbage_collected


@deploy("Garbage")
def collect_garbage() -> None:
    """Remove what neither the active generation nor the one before it needs."""
    garbage_collected(name="Remove what no generation needs")
