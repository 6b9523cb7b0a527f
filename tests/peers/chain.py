"""Light hosts and blobs that are shipped to them by a chain."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sealift.blob import Blob
from sealift.host_paths import BLOBS, PARTIAL
from sealift.progress import Progress, silent
from sealift.ship import over_chain as module
from sealift.ship.over_chain import over_chain
from sealift.ship.over_ssh import over_ssh
from sealift.ship.types import BlobPath, Order, Shipped
from sealift.ssh import Gathered
from tests.peers.light_hosts import PORT, LightHosts

SIZES = (100 << 20, 5, 20_000, 3 << 20)  # bytes


@dataclass
class Fleet:
    """Light hosts, blobs for them, and what came straight from the control node at the end."""

    hosts: LightHosts
    depot: Path
    blobs: tuple[Blob, ...]
    straight: dict[str, int] = field(default_factory=dict)

    def ship(self, progress: Progress = silent) -> Gathered[Shipped]:
        orders = [Order(self.hosts.ssh(host), self.blobs, PORT) for host in self.hosts.names]
        return over_chain(orders, self.path, progress)

    def path(self, digest: str) -> Path:
        return self.depot / digest.removeprefix("sha256:")

    def has_all(self, host: str) -> bool:
        said = self.hosts.on(
            host, f"cd {BLOBS} && sha256sum -- * && stat -c '%a %Y' -- *"
        ).stdout.splitlines()
        sums = sorted(f"{blob.hex}  {blob.hex}" for blob in self.blobs)
        return sorted(said) == sorted([*sums, *["444 1"] * len(sums)])

    def left(self, host: str) -> str:
        """What a transfer left there, of processes, files and partial blobs."""
        return self.hosts.on(
            host, f"pgrep -r R,S,D -a 'sealift-chain|sshd|ssh|cat'; ls {PARTIAL}; ls /run/sealift-chain"
        ).stdout


@contextmanager
def fleet_of(folder: Path, count: int, small: tuple[str, ...] = ()) -> Iterator[Fleet]:
    """Hosts that lack all blobs, and that the control node reaches.

    + folder: an empty one
    + small: hosts with less room than the blobs take
    """
    hosts = LightHosts(folder / "hosts", count)
    hosts.folder.mkdir()
    depot = folder / "depot"
    depot.mkdir()
    blobs = []
    for size in SIZES:
        content = os.urandom(size)
        blobs.append(Blob(digest=f"sha256:{hashlib.sha256(content).hexdigest()}", size=size))
        (depot / blobs[-1].hex).write_bytes(content)
    found = Fleet(hosts, depot, tuple(blobs))

    def recorded(orders: Sequence[Order], blob_path: BlobPath, progress: Progress) -> Gathered[Shipped]:
        done = over_ssh(orders, blob_path, progress)
        found.straight = {host: shipped.blobs for host, shipped in done.results.items()}
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "over_ssh", recorded)
        try:
            hosts.begin(small=small)
            patch.setenv("PATH", f"{hosts.folder}/bin:{os.environ['PATH']}")
            yield found
        finally:
            hosts.end()


def in_the_middle(act: Callable[[], object]) -> Progress:
    """Do something once, when an eighth has come."""
    acted = False

    def progress(what: str, done: int, total: int) -> None:
        nonlocal acted
        if not acted and done * 8 > total:
            acted = True
            act()

    return progress
