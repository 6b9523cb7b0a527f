"""OS packages at the lock's versions, out of the release's own signed apt repository in the host store."""

from __future__ import annotations

from pyinfra.api import deploy

from sealift.depot.repository import pool_path
from sealift.depot.store import Depot, StoredRelease, signed_repository
from sealift.host.wanted import Wanted
from sealift.host_paths import BLOBS, REPOSITORIES
from sealift.operations.apt import packages_installed
from sealift.operations.text import links_present, text_present

KEY = "/etc/apt/keyrings/sealift.asc"
SOURCE = "/etc/apt/sources.list.d/sealift.sources"


@deploy("OS packages")
def install_os_packages(wanted: Wanted) -> None:
    """Set up the repository, then bring every package of the host's groups to its locked version."""
    repository = signed_repository(Depot(wanted.settings.depot), StoredRelease(wanted.bundle, wanted.lock))
    packages = wanted.packages
    folder = f"{REPOSITORIES}/{wanted.bundle.removeprefix('sha256:')[:12]}"

    links_present(
        name="Link the packages into the repository",
        folder=f"{folder}/pool",
        links={pool_path(each).removeprefix("pool/"): f"{BLOBS}/{each.blob.hex}" for each in packages},
    )
    text_present(
        name="Write the repository's index", path=f"{folder}/Packages", content=repository.packages.decode()
    )
    text_present(
        name="Write the repository's signed release file",
        path=f"{folder}/InRelease",
        content=repository.inrelease.decode(),
    )
    text_present(name="Trust the site's signing key", path=KEY, content=repository.key.decode())
    text_present(
        name="Point apt at the repository",
        path=SOURCE,
        content=f"# Written by sealift\nTypes: deb\nURIs: file:{folder}\nSuites: ./\nSigned-By: {KEY}\n",
    )
    packages_installed(
        name="Install the release's packages",
        source=SOURCE,
        versions={package.name: package.version for package in packages},
    )
