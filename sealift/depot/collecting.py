"""Garbage collection: what no release that is kept refers to goes, names first, bytes last.

Killed in between, what is left is a depot with fewer names and some blobs that nobody needs: the next run
removes those.

Media that were not read to their end, in depot/incoming, are nobody's either, unless somebody reads them now.
"""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sealift.blob import Blob
from sealift.depot.store import Depot
from sealift.files import locked, sync_folder
from sealift.integrity import stored_blobs
from sealift.oci.layout import INDEX
from sealift.progress import Progress
from sealift.release.age import version_key

_HEX = re.compile(r"[0-9a-f]{64}")
_INCOMING = re.compile(r"\.?[0-9a-f]{64}")  # with a dot, half removed by a killed run


@dataclass(frozen=True)
class Garbage:
    """What a collection removes, or would.

    + kept: releases that stay
    + releases: those that go, `NAME:VERSION`
    + bundles: digests of bundles that no name stands for any more
    + blobs: those that no bundle refers to any more
    + incoming: folders of bundles that were read from media, wholly or not, and not taken in; bytes by each
    """

    kept: tuple[str, ...]
    releases: tuple[str, ...]
    bundles: tuple[str, ...]
    blobs: tuple[Blob, ...]
    incoming: Mapping[str, int]

    @property
    def size(self) -> int:
        """Bytes that become free."""
        return sum(blob.size for blob in self.blobs) + sum(self.incoming.values())


def collect(
    depot: Depot,
    keep: int,
    named: Sequence[str],
    in_use: frozenset[str],
    apply: bool,
    progress: Progress,
) -> Garbage:
    """Find what a depot no longer needs, and remove it.

    + keep: how many releases of each name stay: those of the highest versions
    + named: releases that stay whatever their version, `NAME:VERSION` or `NAME@sha256:HEX`
    + in_use: digests of bundles that hosts run; those that the depot has stay
    + apply: False to remove nothing

    Raises SealiftError where a named release is not there, or one that stays cannot be read: what it refers
    to is unknown then, and nothing is removed.
    """
    depot.require()
    with locked(depot.path, lambda: progress("waiting for another process in the depot", 0, 0)):
        garbage = _find(depot, keep, named, in_use)
        if apply:
            _remove(depot, garbage)
        return garbage


def _find(depot: Depot, keep: int, named: Sequence[str], in_use: frozenset[str]) -> Garbage:
    releases = depot.releases()
    digests = {depot.resolve(reference).digest for reference in named}
    digests |= {digest for digest in in_use if (depot.bundle(digest) / INDEX).is_file()}
    kept = _latest(releases, keep) | {name for name, digest in releases.items() if digest in digests}
    digests |= {releases[name] for name in kept}
    needed = {digest for bundle in sorted(digests) for digest in depot.layout(bundle).blobs()}
    folders = (folder.name for folder in (depot.path / "bundles").glob("*") if _HEX.fullmatch(folder.name))
    bundles = sorted({f"sha256:{name}" for name in folders} - digests)
    blobs = (blob for blob in stored_blobs(depot.store) if blob.digest not in needed)
    gone = tuple(name for name in releases if name not in kept)
    return Garbage(tuple(sorted(kept)), gone, tuple(bundles), tuple(blobs), _incoming(depot))


def _incoming(depot: Depot) -> dict[str, int]:
    """What nobody is reading, with the bytes of files that the depot does not share."""
    found: dict[str, int] = {}
    for folder in sorted((depot.path / "incoming").glob("*")):
        if _INCOMING.fullmatch(folder.name) and folder.is_dir():
            with _unless_read(folder) as free:
                if free:
                    files = (path.lstat() for path in folder.rglob("*") if path.is_file())
                    found[f"incoming/{folder.name}"] = sum(f.st_size for f in files if f.st_nlink == 1)
    return found


@contextmanager
def _unless_read(folder: Path) -> Iterator[bool]:
    """Hold a folder that media are put together in; False where somebody else does: it is being read."""
    try:
        with locked(folder, _refuse):
            yield True
    except _BeingReadError:
        yield False


class _BeingReadError(Exception):
    """Somebody else holds the folder."""


def _refuse() -> None:
    raise _BeingReadError


def _latest(releases: Iterable[str], keep: int) -> set[str]:
    versions: dict[str, list[str]] = defaultdict(list)
    for reference in releases:
        name, _, version = reference.partition(":")
        versions[name].append(version)
    return {
        f"{name}:{version}"
        for name, found in versions.items()
        for version in sorted(found, key=version_key, reverse=True)[:keep]
    }


def _remove(depot: Depot, garbage: Garbage) -> None:
    for reference in garbage.releases:
        path = depot.path / "releases" / reference.replace(":", "/")
        path.unlink()
        sync_folder(path.parent)
    for digest in garbage.bundles:
        folder = depot.bundle(digest)
        (folder / INDEX).unlink(missing_ok=True)
        sync_folder(folder)
        shutil.rmtree(folder)
    for blob in garbage.blobs:
        depot.store.path(blob).unlink()
    for name in garbage.incoming:
        folder = depot.path / name
        with _unless_read(folder) as free:
            if free:  # it loses its name first: what is left of it must not be read on into
                shutil.rmtree(folder.rename(folder.with_name(f".{folder.name.removeprefix('.')}")))
    depot.store.sweep()
