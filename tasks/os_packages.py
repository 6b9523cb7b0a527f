"""OS packages at the lock's versions, out of the release's own signed apt repository in the host store."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from sealift.depot.activation import reading
from sealift.depot.store import StoredRelease, signed_repository
from sealift.host import package_source
from sealift.host.wanted import Wanted
from sealift.operations.apt import packages_installed, packages_listed
from sealift.operations.text import links_present, text_present


@deploy("OS packages")
def install_os_packages(wanted: Wanted) -> None:
    """Set up the repository, then bring every package of the host's groups to its locked version."""
    repository = signed_repository(reading(wanted.settings.depot), StoredRelease(wanted.bundle, wanted.lock))
    links_present(
        name="Link the packages into the repository",
        folder=f"{package_source.folder(wanted)}/pool",
        links=package_source.links(wanted),
    )
    for path, (name, content) in host.loop(package_source.files(wanted, repository).items()):
        text_present(name=name, path=path, content=content)
    packages = {package.name: package.version for package in wanted.packages}
    packages_listed(name="List the packages that the release brings", packages=tuple(packages))
    packages_installed(name="Install the release's packages", source=package_source.SOURCE, versions=packages)
