"""Where the packages of a release come from: Debian, vendors' repositories by URL, repositories in folders.

Where a repository is fetched from is this machine's affair, and in no lock: Debian at the mirror that its apt
has, a vendor's at its own URL or at the mirror that is set for it. A repository is believed by its key alone,
and of each key the lock has the SHA-256.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pysequoia

from sealift.errors import SealiftError
from sealift.files import read_limited
from sealift.release.suites import DEBIAN, SUITES
from sealift.release.types import AptSource, Release
from sealift.sources.access import apt_mirror
from sealift.sources.apt_mirror import debian_mirrors
from sealift.sources.source import BuildMachine

DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_KEY_LIMIT = 1 << 20  # bytes
# Armor of a private key, or a first packet with tag 5. Source: RFC 4880, 4.2, 4.3 and 6.2.
_PRIVATE = re.compile(rb"\s*-----BEGIN PGP PRIVATE|[\x94-\x97\xc5]")


@dataclass(frozen=True)
class Repository:
    """A line of sources.list(5).

    + source: its name in the release
    + uri: ends in /
    + key: path of the keys that it is believed by
    + options: further ones, each with a blank in front
    """

    source: str
    uri: str
    suite: str
    components: tuple[str, ...]
    key: str
    options: str = ""

    @property
    def is_debian(self) -> bool:
        """Whether Debian's own keys are those that it is believed by."""
        return self.key == DEBIAN_KEYRING

    def line(self) -> str:
        """The line, with its newline. A flat repository has no components."""
        components = "" if self.suite.endswith("/") else " ".join(self.components)
        return f"deb [arch=amd64 signed-by={self.key}{self.options}] {self.uri} {self.suite} {components}\n"


def read_keys(release: Release, sources: Path) -> dict[str, bytes]:
    """The signing keys of all sources that have one of their own.

    + sources: the folder that paths in the release are relative to

    Raises SealiftError where one is missing, or is no public key.
    """
    return {
        name: _key(name, source.key, sources)
        for name, source in sorted(release.packages.sources.items())
        if source.key is not None
    }


def key_digests(keys: Mapping[str, bytes]) -> dict[str, str]:
    """Their names in a lock."""
    return {name: f"sha256:{hashlib.sha256(content).hexdigest()}" for name, content in keys.items()}


def repositories(
    release: Release, machine: BuildMachine, keys: Mapping[str, bytes], root: Path
) -> tuple[Repository, ...]:
    """Every repository of a release as this machine's apt can read it.

    + keys: from `read_keys`
    + root: a folder of ours, for keys and links to folders

    Raises SealiftError where a folder is missing, or a mirror is not as it should be.
    """
    return tuple(
        repository
        for name, source in sorted(release.packages.sources.items())
        for repository in _repositories(name, source, release.suite, machine, keys, root)
    )


def vendor_uri(name: str, url: str, machine: BuildMachine) -> str:
    """Where this machine fetches a vendor's packages, with / at its end: its mirror of them, else the URL.

    + name: of the source

    Raises SealiftError where the mirror is not as it should be.
    """
    return (apt_mirror(name, machine.environment) or url).rstrip("/") + "/"


def local_folder(name: str, path: str, sources: Path) -> Path:
    """The folder of a repository. Raises SealiftError where it is missing, or leads out of the sources."""
    return _below(sources, path, name)


def place(uri: str, known: tuple[Repository, ...]) -> tuple[str, str]:
    """Source and path below it, of what apt would fetch. Raises SealiftError where it is of none.

    Debian and its security archive are one source: their paths differ.
    """
    found = [repository for repository in known if uri.startswith(repository.uri)]
    if not found:
        raise SealiftError(f"{uri}: is in none of the release's repositories. Report this as a bug.")
    nearest = _nearest(found)
    return nearest.source, posixpath.normpath(unquote(uri.removeprefix(nearest.uri)))


def blame(words: str, known: tuple[Repository, ...]) -> str:
    """What apt says of repositories, each line with the name of the source that it speaks of in front."""
    return "\n".join(_blamed(line, known) for line in words.splitlines())


def _blamed(line: str, known: tuple[Repository, ...]) -> str:
    found = [repository for repository in known if repository.uri.rstrip("/") in line]
    return f"packages.sources.{_nearest(found).source}: {line}" if found else line


def _nearest(found: list[Repository]) -> Repository:
    """One repository may lie below another one's address."""
    return max(found, key=lambda repository: len(repository.uri))


def _repositories(
    name: str, source: AptSource, suite: str, machine: BuildMachine, keys: Mapping[str, bytes], root: Path
) -> Iterator[Repository]:
    if source.path is None and source.url is None:
        if SUITES[suite].system != DEBIAN:
            raise SealiftError(
                f"packages.sources.{name}: has no url, and this machine's own mirrors are Debian's. "
                f"Name the archive of {SUITES[suite].title}, with url and key."
            )
        mirrors = debian_mirrors()
        for wanted in source.suites or SUITES[suite].archives:
            uri = mirrors.security if wanted.endswith("-security") else mirrors.main
            yield Repository(name, uri, wanted, source.components, DEBIAN_KEYRING)
        return
    if name not in keys:
        raise SealiftError(f"packages.sources.{name}: needs a key. Add it to the release file.")
    key = _written_key(root, name, keys[name])
    if source.path is not None:
        # through a link without blanks: apt's lines know no quotes
        link = root / f"repository-{name}"
        link.symlink_to(local_folder(name, source.path, machine.sources))
        uri, options = f"file:{link}/", ""
    else:
        uri, options = _remote(name, source.url or "", machine)
    for wanted in source.suites:
        yield Repository(name, uri, wanted, source.components, str(key), options)


def _remote(name: str, url: str, machine: BuildMachine) -> tuple[str, str]:
    """Where it is, and that it must not have expired: only of a mirror does the machine's apt decide that.

    Acquire::Check-Date without the other is enough to switch both off. Source: sources.list(5).
    """
    if apt_mirror(name, machine.environment) is None:
        return vendor_uri(name, url, machine), " check-date=yes check-valid-until=yes"
    return vendor_uri(name, url, machine), ""


def _below(sources: Path, path: str, name: str) -> Path:
    found = (sources / path).resolve()
    if not found.exists() or not found.is_relative_to(sources.resolve()):
        raise SealiftError(
            f"{sources / path}: not found below {sources}, named by packages.sources.{name}. Put it there."
        )
    return found


def _key(name: str, path: str, sources: Path) -> bytes:
    where = _below(sources, path, name)
    content = read_limited(where, _KEY_LIMIT)
    if _PRIVATE.match(content):
        raise SealiftError(
            f"{where}: is a private key, expected the public one of packages.sources.{name}. "
            "Export that alone: gpg --armor --export."
        )
    if not _holds_a_key(content):
        raise SealiftError(
            f"{where}: is no OpenPGP key, expected the public one of packages.sources.{name}. "
            "Get it from the vendor again."
        )
    return content


def _holds_a_key(content: bytes) -> bool:
    try:
        return bool(pysequoia.Cert.split_bytes(content))
    except RuntimeError:
        return False


def _written_key(root: Path, name: str, content: bytes) -> Path:
    """Write a key where apt finds it, which goes by the name's end. Source: sources.list(5), Signed-By."""
    armored = content.lstrip().startswith(b"-----BEGIN PGP")
    path = root / f"key-{name}.{'asc' if armored else 'gpg'}"
    path.write_bytes(content)
    return path
