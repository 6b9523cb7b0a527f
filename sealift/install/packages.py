"""Debian packages of the control node: out of files, by apt without any source, so without any network."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sealift.bundle.start import Copy
from sealift.install.commands import require, run
from sealift.install.content import Package

_APT = ("apt-get", "--quiet", "--yes", "--no-install-recommends", "--no-remove")
# Debian starts a service with its package. This one would listen on every address at all times; sealift needs
# the program alone.
_NO_SERVICES = {"opentracker": "opentracker.service"}
_DPKG = Path("/var/lib/dpkg")
_UNITS = Path("/etc/systemd/system")
_LOCK_WAIT_S = 120  # for another apt on this machine to end


@dataclass(frozen=True)
class Installed:
    """Names of packages: those that were installed now, and those that stay at an older version."""

    now: tuple[str, ...]
    kept: tuple[str, ...]


def install_packages(packages: Sequence[Package], copy: Copy, scratch: Path) -> Installed:
    """Install what is missing or older. What is there in that version or a newer one stays.

    An older one stays too where the update does not go with the machine's other packages: a server that needs
    the client of its own version, for example, does not have to go for a newer client.

    + copy: gets a .deb
    + scratch: a folder for the time being

    Raises SealiftError in apt's words where what is missing cannot be installed.
    """
    versions = _versions()
    missing = [package for package in packages if package.name not in versions]
    older = [p for p in packages if p.name in versions and _is_older(versions[p.name], p.version)]
    if not missing and not older:
        return Installed((), ())
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "lists/partial").mkdir(parents=True)
    for package in (*missing, *older):
        copy(package.deb, scratch / package.deb.name)
    _wait_for_dpkg()
    _require(_run("dpkg", "--configure", "-a"))  # ends what an interrupted run began
    wanted, kept = _plan(missing, older, scratch)
    if wanted:
        mask_services(wanted, _UNITS)
        _require(_apt(wanted, scratch))
    shutil.rmtree(scratch)
    return Installed(tuple(p.name for p in wanted), tuple(p.name for p in kept))


def mask_services(packages: Sequence[Package], units: Path) -> None:
    """Keep services that nobody needs from being started; an administrator's own setting stays.

    + units: folder of the machine's own units. Source: systemd.unit(5), "masked"
    """
    for unit in (units / _NO_SERVICES[p.name] for p in packages if p.name in _NO_SERVICES):
        if not os.path.lexists(unit):
            unit.parent.mkdir(parents=True, exist_ok=True)
            unit.symlink_to("/dev/null")


def _plan(missing: list[Package], older: list[Package], scratch: Path) -> tuple[list[Package], list[Package]]:
    """What apt can install, and what stays older than in the release."""
    every = _apt([*missing, *older], scratch, "--simulate")
    if every.returncode == 0:
        return [*missing, *older], []
    if not older:
        _require(every)
    if missing:
        _require(_apt(missing, scratch, "--simulate"))
    return missing, older


def _wait_for_dpkg() -> None:
    """Another apt or dpkg may be running, such as one that outlived a killed run. These are its locks."""
    for name in ("lock-frontend", "lock"):
        with (_DPKG / name).open("a") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)


def _versions() -> dict[str, str]:
    """Versions of what is wholly installed. Source: dpkg-query(1)."""
    listed = _run("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package} ${Version}\n")
    _require(listed)
    lines = (line.split() for line in listed.stdout.splitlines())
    return {words[1]: words[2] for words in lines if len(words) == 3 and words[0] == "installed"}


def _is_older(installed: str, wanted: str) -> bool:
    return _run("dpkg", "--compare-versions", installed, "lt", wanted).returncode == 0


def _apt(packages: Sequence[Package], scratch: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Install files, and know of no others. Source of the options: apt.conf(5), dpkg(1)."""
    options = (
        "Dir::Etc::SourceList=/dev/null",
        "Dir::Etc::SourceParts=/dev/null",
        f"Dir::State::Lists={scratch}/lists",
        f"Dir::Cache={scratch}",
        f"DPkg::Lock::Timeout={_LOCK_WAIT_S}",
        "Dpkg::Options::=--force-confdef",
        "Dpkg::Options::=--force-confold",
        "APT::Sandbox::User=root",  # nothing is downloaded, and the files may lie where only root looks
    )
    flags = [part for option in options for part in ("-o", option)]
    return _run(*_APT, *flags, *more, "install", *(str(scratch / p.deb.name) for p in packages))


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return run(command, {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"})


def _require(done: subprocess.CompletedProcess[str]) -> None:
    remedy = "Mend what it names, or have that package added to control.packages of the release."
    require(done, done.args[0], "it to install packages", remedy)
