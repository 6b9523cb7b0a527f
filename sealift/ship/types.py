"""What every way of shipping has in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sealift.blob import Blob
from sealift.progress import Progress
from sealift.ssh import Gathered, Ssh

BlobPath = Callable[[str], Path]
"""Gives the file of a digest in the depot."""


@dataclass(frozen=True)
class Order:
    """What a host needs in its store.

    + ssh: how it is reached
    + port: TCP, on its address, that other hosts may send to while it is shipped to; 0: none
    + address: that other hosts reach it at; empty is that of the ssh_config
    + rate: bytes per second that it takes and gives at most; 0 is no limit
    + rate_total: the same of the control node, to all hosts; the lowest of all orders holds
    """

    ssh: Ssh
    blobs: tuple[Blob, ...]
    port: int = 0
    address: str = ""
    rate: int = 0
    rate_total: int = 0

    @property
    def host(self) -> str:
        """Its name."""
        return self.ssh.host


@dataclass(frozen=True)
class Shipped:
    """What had to be shipped to a host.

    + note: what kept it from being in a chain to the end, or was wrong with what it sent there
    """

    blobs: int
    bytes: int
    note: str = ""


class Transport(Protocol):
    """A way of getting blobs into host stores.

    Ships only what a host lacks, goes on where an interrupted run stopped, and gives back only when every
    blob's hash has been checked on the host.
    """

    def __call__(self, orders: Sequence[Order], blob_path: BlobPath, progress: Progress) -> Gathered[Shipped]:
        """Ship: a result or an error for each host."""
        ...
