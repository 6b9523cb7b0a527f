"""OS packages out of the site's own signed repository, and out of nothing else."""

from __future__ import annotations

import shlex
import time
from collections.abc import Generator, Iterable, Mapping

from pyinfra import host, logger
from pyinfra.api import FunctionCommand, Host, State, operation

from sealift.facts.apt import LOCKS, BroughtPackages, HeldLock, InstalledPackages, PackageLock
from sealift.host_paths import PACKAGES
from sealift.operations.refusal import tell

Commands = Generator[str | FunctionCommand, None, None]
_LOCK_WAIT_S = 600  # an unattended upgrade of a whole host takes minutes

# What apt-get reads in place of the host's own sources, which stay as they are. Another list of sources
# would make it delete the package lists of the host's own: hence List-Cleanup.
_ONLY_FROM = (
    "-o Dir::Etc::SourceList={source} -o Dir::Etc::SourceParts=/dev/null -o APT::Get::List-Cleanup=0"
    " -o DPkg::Lock::Timeout=120"
)
# A configuration file that an administrator has changed stays; sealift writes its own files afterwards.
_INSTALL = (
    "install --yes --no-install-recommends --no-remove --allow-downgrades --fix-broken"
    " -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
)


@operation()
def packages_installed(source: str, versions: Mapping[str, str]) -> Commands:
    """Have these packages at exactly these versions, whichever of them the host has now.

    A dpkg that was killed in its work is repaired first. No package is removed: apt fails instead.

    + source: the only file of apt sources that is read, in deb822 form, on the host
    + versions: package to version
    """
    have = host.get_fact(InstalledPackages)
    wrong = {package for package, version in versions.items() if have.versions.get(package) != version}
    if not wrong and not have.interrupted:
        return
    environment = "export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8"
    yield locks_free()
    apt_get = f"apt-get {_ONLY_FROM.format(source=shlex.quote(source))}"
    if have.interrupted:
        # What waits for a package that was never unpacked is left to apt-get, which knows the order.
        yield (
            f"{environment}; if ! dpkg --force-confdef --force-confold --configure -a;"
            " then echo 'some packages wait for others: apt-get goes on with them'; fi"
        )
    yield f"{environment}; {apt_get} --error-on=any update"
    pins = " ".join(shlex.quote(f"{package}={version}") for package, version in sorted(versions.items()))
    yield f"{environment}; {apt_get} {_INSTALL} {pins}"


@operation()
def packages_listed(packages: tuple[str, ...]) -> Commands:
    """Have those packages listed that the host has not yet, before they are installed.

    So a host that leaves a group, or gets a release without them, loses what was brought and nothing else.

    + packages: that will be installed
    """
    have = host.get_fact(InstalledPackages).versions
    listed: list[str] = host.get_fact(BroughtPackages)
    new = set(packages) - have.keys() - set(listed)
    if new:
        yield _list({*listed, *new})


@operation()
def packages_removed(packages: tuple[str, ...]) -> Commands:
    """Have no packages that a former release brought and this one does not; never one that others need.

    + packages: that this one brings
    """
    listed: list[str] = host.get_fact(BroughtPackages)
    stale = sorted(set(listed) - set(packages))
    if not stale:
        return
    there = [name for name in stale if name in host.get_fact(InstalledPackages).versions]
    if there:
        yield locks_free()
        names = " ".join(map(shlex.quote, there))
        yield f"export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8; dpkg --remove {names}"
    yield _list(set(listed) - set(stale))


def locks_free(wait_s: float = _LOCK_WAIT_S, locks: tuple[str, ...] = LOCKS) -> FunctionCommand:
    """A command that waits until nobody else installs packages, and tells that it does.

    apt would wait in silence, and for one of its locks alone; dpkg not at all.

    + wait_s: seconds until it fails, naming the process that does not end
    """
    return FunctionCommand(_wait, (wait_s, locks), {})


def _wait(state: State, host: Host, wait_s: float, locks: tuple[str, ...]) -> bool:  # noqa: ARG001 - pyinfra's
    started, told = time.monotonic(), False
    while held := _held(host, locks):
        if time.monotonic() - started >= wait_s:
            logger.error(
                "%s%s is held by process %s (%s) for more than %.0f s, expected no other apt or dpkg. "
                "Let that end, or end it, and run the same again.",
                *(host.print_prefix, held.path, held.process, held.command or "unknown", wait_s),
            )
            return False
        if not told:
            tell(host, f"waits for {held}, for {wait_s:.0f} s at most")
            told = True
        time.sleep(min(1.0, wait_s))
    if told:
        tell(host, f"goes on after {time.monotonic() - started:.0f} s")
    return True


def _held(host: Host, locks: tuple[str, ...]) -> HeldLock | None:
    held: HeldLock | None = host.get_fact(PackageLock, paths=locks)
    return held


def _list(packages: Iterable[str]) -> str:
    lines = " ".join(map(shlex.quote, sorted(packages)))
    listing = f"printf '%s\\n' {lines}" if lines else ":"
    folder = PACKAGES.rpartition("/")[0]
    return (
        f"umask 022 && mkdir -p {folder} && {listing} > {PACKAGES}.new && sync {PACKAGES}.new && "
        f"mv -T {PACKAGES}.new {PACKAGES} && sync {folder}"
    )
