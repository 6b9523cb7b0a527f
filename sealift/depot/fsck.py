"""Whether a depot still is what was imported: every blob hashed, and repaired where somebody has it whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sealift.blob import Blob
from sealift.depot.repair import RepairSource, restore_from_any
from sealift.depot.store import Depot, check_repository, read_key
from sealift.errors import SealiftError
from sealift.files import locked, read_limited
from sealift.integrity import damaged, stored_blobs
from sealift.oci.layout import INDEX, INDEX_LIMIT, read_layout, read_manifests
from sealift.progress import Progress

_Owned = tuple[Blob, str]  # a blob, and what it belongs to
NOBODYS = "no release"


@dataclass(frozen=True)
class Finding:
    """A blob that was bad.

    + wrong: `missing` or `damaged`
    + owner: the first thing that it belongs to
    + repaired_from: the source's name, or nothing
    + tried: what was wrong with sources that had it
    """

    digest: str
    size: int
    wrong: str
    owner: str
    repaired_from: str
    tried: tuple[str, ...]

    @property
    def harms(self) -> bool:
        """Whether a release lacks it now."""
        return not self.repaired_from and self.owner != NOBODYS


@dataclass(frozen=True)
class Checked:
    """What a check found: blobs and bytes hashed, bad blobs, and what else is broken.

    That is releases with a bad name, index or apt repository, and the key that signs these.
    """

    blobs: int
    size: int
    findings: tuple[Finding, ...]
    broken: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether all that releases refer to is whole now."""
        return not self.broken and not any(finding.harms for finding in self.findings)


def fsck(depot: Depot, sources: Sequence[RepairSource], progress: Progress) -> Checked:
    """Hash every blob of a depot, and put right what is bad from where it can be had.

    + sources: tried in this order; a blob from there is kept only if its hash is right
    + progress: told of bytes hashed

    Raises SealiftError where there is no depot.
    """
    depot.require()
    with locked(depot.path, lambda: progress("waiting for another process in the depot", 0, 0)):
        indexes, broken = _indexes(depot)
        manifests = {
            digest: (blob, f"{name}: {ref}")
            for name, index in indexes.items()
            for digest, (blob, ref) in read_manifests(index).items()
        }
        findings = list(_check(depot, manifests, sources, "hashing manifests", progress))
        lost = frozenset(finding.digest for finding in findings if not finding.repaired_from)
        rest = {d: owned for d, owned in _all(depot, indexes, lost).items() if d not in manifests}
        findings += _check(depot, rest, sources, "hashing the depot", progress)
        broken += _repositories(depot, indexes)
        depot.store.sweep()
        blobs = [blob for blob, _ in (*manifests.values(), *rest.values())]
        return Checked(len(blobs), sum(blob.size for blob in blobs), tuple(findings), tuple(broken))


def _indexes(depot: Depot) -> tuple[dict[str, bytes], list[str]]:
    """Every bundle's index by its release's name, or by its digest where it has none; and what is broken."""
    releases, unreadable = depot.readable_releases()
    names = {digest: name for name, digest in reversed(releases.items())}
    nameless = sorted(f"sha256:{path.parent.name}" for path in (depot.path / "bundles").glob(f"*/{INDEX}"))
    found: dict[str, bytes] = {}
    broken = list(unreadable)
    for digest in dict.fromkeys((*releases.values(), *nameless)):
        path = depot.bundle(digest) / INDEX
        try:
            index = read_limited(path, INDEX_LIMIT)
        except SealiftError as error:
            broken.append(f"{names.get(digest, digest)}: {error} Import its bundle again.")
            continue
        if f"sha256:{hashlib.sha256(index).hexdigest()}" == digest:
            found[names.get(digest, digest)] = index
        else:
            broken.append(f"{names.get(digest, digest)}: {path} was altered. Import its bundle again.")
    return found, broken


def _repositories(depot: Depot, indexes: Mapping[str, bytes]) -> Iterator[str]:
    """What is wrong with apt repositories of releases that can be read, or with the key of all."""
    if not indexes:
        return
    try:
        key = read_key(depot)
    except SealiftError as error:
        yield str(error)
        return
    for name, index in indexes.items():
        try:
            stored = depot.load(f"sha256:{hashlib.sha256(index).hexdigest()}")
        except SealiftError:  # of a manifest, which is among the findings
            continue
        try:
            check_repository(depot, stored, key)
        except SealiftError as error:
            yield f"{name}: {error}"


def _all(depot: Depot, indexes: Mapping[str, bytes], lost: frozenset[str]) -> dict[str, _Owned]:
    """Every blob by digest: what bundles name, and what lies in the store without a bundle naming it."""
    found: dict[str, _Owned] = {}
    for name, index in indexes.items():
        for digest, (blob, owner) in read_layout(index, depot.store, lost).blobs().items():
            found.setdefault(digest, (blob, f"{name}: {owner}"))
    for blob in stored_blobs(depot.store):
        found.setdefault(blob.digest, (blob, NOBODYS))
    return found


def _check(
    depot: Depot,
    owned: Mapping[str, _Owned],
    sources: Sequence[RepairSource],
    what: str,
    progress: Progress,
) -> Iterator[Finding]:
    bad = damaged(depot.store, (blob for blob, _ in owned.values()), what, progress)
    for digest in sorted(bad):
        blob, owner = owned[digest]
        wrong = "damaged" if depot.store.path(blob).exists() else "missing"
        source, tried = restore_from_any(blob, depot.store, sources)
        yield Finding(digest, blob.size, wrong, owner, source, tuple(tried))
