"""Fetching .debs that a lock names, from mirrors, vendors or a folder, into a cache of blobs.

The lock holds paths and digests only, so the mirror is the machine's business, and a lock stays good as long
as some mirror keeps the files.
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from sealift.blobs import BlobStore
from sealift.content import Content
from sealift.errors import SealiftError
from sealift.files import locked
from sealift.processes import WITH_US
from sealift.progress import Meter, Progress
from sealift.release.locked import Lock, LockedPackage
from sealift.scratch import scratch
from sealift.sources.apt_config import IsolatedApt, explain
from sealift.sources.apt_mirror import debian_mirrors
from sealift.sources.apt_sources import local_folder, vendor_uri
from sealift.sources.source import BuildMachine

_BATCH = 32 << 20  # bytes fetched before they are put away: so much disk is taken twice, beside one file
_POLL = 0.3  # seconds
# apt's helper for single files: its methods, proxies and retries. Part of the package apt since 1.1.
_HELPER = "/usr/lib/apt/apt-helper"


def fetch(lock: Lock, machine: BuildMachine, cache: BlobStore) -> None:
    """Bring every .deb of a lock into the cache; those that are there are not fetched again.

    + machine: where repositories are fetched from

    Raises SealiftError naming what cannot be had or is not what the lock says.
    """
    missing = [package for package in lock.packages if not cache.has(package.blob)]
    meter = Meter("fetching packages", sum(package.blob.size for package in missing), machine.progress)
    remote = []
    for package in missing:
        path = lock.release.packages.sources[package.source].path
        if path is None:
            remote.append(package)
        else:
            content = Content.of_file(
                _below(local_folder(package.source, path, machine.sources), package.path)
            )
            cache.put(package.blob, content, f"packages: {package.name}", meter.add)
    if remote:
        _fetch(remote, _uris(lock, remote, machine), cache, meter, machine.progress)


def _below(folder: Path, path: str) -> Path:
    found = (folder / path).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise SealiftError(f"{folder}: {path} leads out of it. Refuse this lock.")
    return found


def _uris(lock: Lock, packages: list[LockedPackage], machine: BuildMachine) -> dict[str, str]:
    """Where this machine fetches each package, by its digest."""
    debian = functools.cache(debian_mirrors)  # asked only where something is Debian's
    found = {}
    for package in packages:
        url = lock.release.packages.sources[package.source].url
        if url is not None:
            base = vendor_uri(package.source, url, machine)
        elif package.path.startswith("pool/updates/"):  # no other archive has such a folder
            base = debian().security
        else:
            base = debian().main
        found[package.blob.digest] = base + quote(package.path, safe="/~")
    return found


def _fetch(
    packages: list[LockedPackage], uris: Mapping[str, str], cache: BlobStore, meter: Meter, progress: Progress
) -> None:
    """Fetch by way of a folder of the cache, in which an interrupted run is gone on with."""
    arriving = cache.partial.with_name("debs")
    with locked(arriving, lambda: progress("waiting for another build to fetch its packages", 0, 0)):
        wanted = {package.blob.hex: package for package in packages}
        for path in arriving.iterdir():
            if path.name not in wanted:
                path.unlink()
            elif path.stat().st_size >= wanted[path.name].blob.size:
                _put_if_whole(wanted[path.name], path, cache, meter)
        for batch in _batches(package for package in packages if not cache.has(package.blob)):
            _fetch_batch(batch, uris, arriving, cache, meter)


def _put_if_whole(package: LockedPackage, path: Path, cache: BlobStore, meter: Meter) -> None:
    with suppress(SealiftError):  # it is fetched again
        cache.put(package.blob, Content.of_file(path), f"packages: {package.name}", meter.add)
    path.unlink()


def _batches(packages: Iterable[LockedPackage]) -> Iterator[list[LockedPackage]]:
    batch: list[LockedPackage] = []
    for package in packages:
        batch.append(package)
        if sum(item.blob.size for item in batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _fetch_batch(
    packages: list[LockedPackage], uris: Mapping[str, str], arriving: Path, cache: BlobStore, meter: Meter
) -> None:
    paths = {arriving / package.blob.hex: package for package in packages}
    was_begun = _size(paths) > 0
    try:
        _run_helper(paths, uris, meter)
    except SealiftError:
        # of what a power cut left, the end may never have been written: apt sees that when all has come
        if not (was_begun and any(arriving.glob("*.FAILED"))):
            raise
        for path in arriving.iterdir():
            path.unlink()
        _run_helper(paths, uris, meter)
    for path, package in paths.items():
        cache.put(package.blob, Content.of_file(path), f"packages: {package.name}", lambda _: None)
        path.unlink()


def _run_helper(paths: Mapping[Path, LockedPackage], uris: Mapping[str, str], meter: Meter) -> None:
    """Run apt's helper to its end, reporting how much has arrived. It goes on with files that are begun.

    One is enough: it has a connection to each host, and asks on it for the next files before the last one has
    come. Over a line of 50 ms there and back, 64 files of 20 kB took 0.67 s, without asking ahead 3.70 s, by
    four helpers 0.53 s; of 2 MB, 1.15 s and 1.02 s.
    """
    arguments = [
        part
        for path, package in paths.items()
        for part in (uris[package.blob.digest], str(path), f"SHA256:{package.blob.hex}")
    ]
    seen = 0
    with scratch("fetch") as root, (root / "helper.log").open("w+") as log:
        (root / "apt").mkdir()
        child = subprocess.Popen(
            (*WITH_US, _HELPER, "-qq", "download-file", *arguments),
            env=IsolatedApt.make(root / "apt").environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            while _still_running(child):
                now = _size(paths)
                meter.add(now - seen)
                seen = now
        finally:
            child.kill()
            child.wait()
        meter.add(_size(paths) - seen)
        if child.returncode != 0:
            log.seek(0)
            raise SealiftError(
                f"packages: {explain(log.read())}\nCheck the mirrors and the proxy; "
                "if a mirror dropped the version, run sealift lock again."
            )


def _size(paths: Iterable[Path]) -> int:
    """Bytes that have arrived."""
    found = 0
    for path in paths:
        with suppress(FileNotFoundError):
            found += path.stat().st_size
    return found


def _still_running(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(_POLL)
    except subprocess.TimeoutExpired:
        return True
    return False
