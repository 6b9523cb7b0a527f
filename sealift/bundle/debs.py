"""Fetching .debs that a lock names, from the machine's mirror or a folder, into a cache of blobs.

The lock holds paths and digests only, so the mirror is the machine's business, and a lock stays good as long
as some mirror keeps the files.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from sealift.blobs import BlobStore, Content
from sealift.errors import SealiftError
from sealift.progress import Meter, Progress
from sealift.release.apt_config import IsolatedApt, explain
from sealift.release.apt_mirror import Mirrors, debian_mirrors
from sealift.release.types import Lock, LockedPackage
from sealift.scratch import scratch

_BATCH = 32 << 20  # bytes fetched before they are put away: what a kill costs at most, beside one file
_POLL = 0.3  # seconds
# apt's helper for single files: its methods, proxies and retries. Part of the package apt since 1.1.
_HELPER = "/usr/lib/apt/apt-helper"


def fetch(lock: Lock, sources: Path, cache: BlobStore, progress: Progress) -> None:
    """Bring every .deb of a lock into the cache; those that are there are not fetched again.

    + sources: the folder that apt sources with a `path` are relative to
    + progress: told of bytes fetched

    Raises SealiftError naming what cannot be had or is not what the lock says.
    """
    missing = [package for package in lock.packages if not cache.has(package.blob)]
    meter = Meter("fetching packages", sum(package.blob.size for package in missing), progress)
    remote = []
    for package in missing:
        folder = lock.release.packages.sources[package.source].path
        if folder is None:
            remote.append(package)
        else:
            content = Content.of_file(_below(sources / folder, package.path))
            cache.put(package.blob, content, f"packages: {package.name}", meter.add)
    for batch in _batches(remote):
        _fetch_batch(batch, debian_mirrors(), cache, meter)


def _below(folder: Path, path: str) -> Path:
    found = (folder / path).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise SealiftError(f"{folder}: {path} leads out of it. Refuse this lock.")
    return found


def _batches(packages: Iterable[LockedPackage]) -> Iterator[list[LockedPackage]]:
    batch: list[LockedPackage] = []
    for package in packages:
        batch.append(package)
        if sum(item.blob.size for item in batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _fetch_batch(packages: list[LockedPackage], mirrors: Mirrors, cache: BlobStore, meter: Meter) -> None:
    cache.folder.mkdir(parents=True, exist_ok=True)
    with scratch("fetch") as root:
        apt = IsolatedApt.make(root / "apt")
        arrived = root / "arrived"
        arrived.mkdir()
        arguments = [
            part
            for package in packages
            for part in (
                _uri(package, mirrors),
                str(arrived / package.blob.hex),
                f"SHA256:{package.blob.hex}",
            )
        ]
        _run_helper(arguments, apt, arrived, meter)
        for package in packages:
            content = Content.of_file(arrived / package.blob.hex)
            cache.put(package.blob, content, f"packages: {package.name}", lambda _: None)


def _uri(package: LockedPackage, mirrors: Mirrors) -> str:
    """Debian's security archive keeps its files below pool/updates; the main archive has no such folder."""
    base = mirrors.security if package.path.startswith("pool/updates/") else mirrors.main
    return base + quote(package.path, safe="/~")


def _run_helper(arguments: list[str], apt: IsolatedApt, arrived: Path, meter: Meter) -> None:
    """Run apt's helper to its end, reporting how much has arrived."""
    seen = 0
    with (apt.root / "helper.log").open("w+") as log:
        child = subprocess.Popen(
            (_HELPER, "-qq", "download-file", *arguments),
            env=apt.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            while _still_running(child):
                now = sum(path.stat().st_size for path in arrived.iterdir())
                meter.add(now - seen)
                seen = now
        finally:
            child.kill()
            child.wait()
        meter.add(sum(path.stat().st_size for path in arrived.iterdir()) - seen)
        if child.returncode != 0:
            log.seek(0)
            raise SealiftError(
                f"packages: {explain(log.read())}\nCheck apt's mirror and proxy; "
                "if the mirror dropped the version, run sealift lock again."
            )


def _still_running(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(_POLL)
    except subprocess.TimeoutExpired:
        return True
    return False
