"""Words about waiting for hosts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sealift.cli.progress import shown


def counted(hosts: int) -> str:
    """So many hosts, in words."""
    return f"{hosts} host" if hosts == 1 else f"{hosts} hosts"


@contextmanager
def asking(hosts: int) -> Iterator[None]:
    """A host that does not answer is waited for a minute: say so."""
    with shown() as progress:
        progress(f"asking {counted(hosts)}", 0, 0)
        yield


@contextmanager
def hashing(hosts: int) -> Iterator[None]:
    """Hashing takes as long as reading whole disks: say so."""
    with shown() as progress:
        progress(f"hashing the blobs of {counted(hosts)}", 0, 0)
        yield
