"""The release's own apt repository on a host: which files and links make it, and which point apt at it."""

from __future__ import annotations

from sealift.depot.repository import SignedRepository, pool_path
from sealift.host.wanted import Wanted
from sealift.host_paths import BLOBS, REPOSITORIES

KEY = "/etc/apt/keyrings/sealift.asc"
SOURCE = "/etc/apt/sources.list.d/sealift.sources"


def folder(wanted: Wanted) -> str:
    """Where the repository of a host's release lies on it."""
    return f"{REPOSITORIES}/{wanted.bundle.removeprefix('sha256:')[:12]}"


def links(wanted: Wanted) -> dict[str, str]:
    """The packages in the repository's pool, by name, as links into the host store."""
    return {pool_path(each).removeprefix("pool/"): f"{BLOBS}/{each.blob.hex}" for each in wanted.packages}


def files(wanted: Wanted, repository: SignedRepository) -> dict[str, tuple[str, str]]:
    """What each file is for, and its text, by path; in the order in which they are written."""
    at = folder(wanted)
    source = f"# Written by sealift\nTypes: deb\nURIs: file:{at}\nSuites: ./\nSigned-By: {KEY}\n"
    return {
        f"{at}/Packages": ("Write the repository's index", repository.packages.decode()),
        f"{at}/InRelease": ("Write the repository's signed release file", repository.inrelease.decode()),
        KEY: ("Trust the site's signing key", repository.key.decode()),
        SOURCE: ("Point apt at the repository", source),
    }
