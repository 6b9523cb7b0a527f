"""The have-list of a depot: what it really has, each blob hashed."""

from __future__ import annotations

from dataclasses import dataclass

from sealift.bundle.have_list import HaveList
from sealift.depot.store import Depot
from sealift.files import locked
from sealift.integrity import damaged, stored_blobs
from sealift.progress import Progress


@dataclass(frozen=True)
class Had:
    """A have-list, and the digests of blobs left out of it because they are damaged."""

    have: HaveList
    damaged: tuple[str, ...]


def have_list(depot: Depot, site: str, progress: Progress) -> Had:
    """List what a depot has. A damaged blob is left out: the next delta then carries it again.

    + site: whose depot it is, for people; may be empty
    + progress: told of bytes hashed

    Raises SealiftError where there is no depot.
    """
    depot.require()
    with locked(depot.path, lambda: progress("waiting for another process in the depot", 0, 0)):
        blobs = stored_blobs(depot.store)
        bad = damaged(depot.store, blobs, "hashing the depot", progress)
        sizes = {blob.hex: blob.size for blob in blobs if blob.digest not in bad}
        return Had(HaveList(site=site, releases=depot.releases(), blobs=sizes), tuple(sorted(bad)))
