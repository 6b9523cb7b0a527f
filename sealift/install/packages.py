"""Debian packages of the control node: out of files, by apt without any source, so without any network."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sealift.dpkg import is_older
from sealift.errors import SealiftError
from sealift.install.commands import require, run
from sealift.install.content import Copy, Package

# --reinstall: a package that dpkg was killed in the middle of unpacking would be taken for an installed one.
_APT = ("apt-get", "--quiet", "--yes", "--no-install-recommends", "--no-remove", "--reinstall")
# A file of an administrator's stays as it is. Nobody is there to be asked. Source: dpkg(1).
_KEEP_CONFFILES = ("--force-confdef", "--force-confold")
_DPKG = Path("/var/lib/dpkg")
_LOCK_WAIT_S = 120  # for another apt on this machine to end
_FLOCK = "hhqqi4x"  # struct flock: type, whence, start, length, process


@dataclass(frozen=True)
class Installed:
    """Names of packages: those that were installed now, and those that stay at an older version."""

    now: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True)
class _Here:
    """An installed package: its version, and whether an administrator holds it there."""

    version: str
    held: bool


@dataclass(frozen=True)
class _Due:
    """What is not here as the release has it: missing, older, and older but held by an administrator."""

    missing: tuple[Package, ...]
    older: tuple[Package, ...]
    held: tuple[Package, ...]


def install_packages(packages: Sequence[Package], copy: Copy, scratch: Path) -> Installed:
    """Install what is missing or older. What is there in that version or a newer one stays.

    An older one stays too where an administrator holds it, or where its update does not go with the machine's
    other packages: a server that needs the client of its own version, for example, does not have to go for a
    newer client.

    + copy: gets a .deb
    + scratch: a folder for the time being

    Raises SealiftError in apt's words where what is missing cannot be installed.
    """
    due = _due(packages)
    if not due.missing and not due.older:
        return Installed((), _names(due.held))
    _wait_for_dpkg()  # of a killed run, it would read what lies in the folder
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "lists/partial").mkdir(parents=True)
    for package in (*due.missing, *due.older):
        copy(package.deb, scratch / package.deb.name)
    _end_what_was_begun()
    due = _due(packages)  # a package that was half installed may be another version than the release's
    wanted = _plan(due, scratch)
    if wanted:
        _require(_apt(wanted, scratch), _remedy(due))
    shutil.rmtree(scratch)
    kept = [package for package in (*due.older, *due.held) if package not in wanted]
    return Installed(_names(wanted), _names(kept))


def _due(packages: Sequence[Package]) -> _Due:
    here = _here()
    older = [p for p in packages if p.name in here and is_older(here[p.name].version, p.version)]
    return _Due(
        missing=tuple(p for p in packages if p.name not in here),
        older=tuple(p for p in older if not here[p.name].held),
        held=tuple(p for p in older if here[p.name].held),
    )


def _names(packages: Sequence[Package]) -> tuple[str, ...]:
    return tuple(package.name for package in packages)


def _plan(due: _Due, scratch: Path) -> list[Package]:
    """What apt can install: all that is missing, and of what is older each that goes with the rest."""
    every = [*due.missing, *due.older]
    if not every or _apt(every, scratch, "--simulate").returncode == 0:
        return every
    wanted = list(due.missing)
    if wanted:
        _require(_apt(wanted, scratch, "--simulate"), _remedy(due))
    for package in due.older:
        if _apt([*wanted, package], scratch, "--simulate").returncode == 0:
            wanted.append(package)
    return wanted


def _wait_for_dpkg() -> None:
    """Another apt or dpkg may be running, such as one that outlived a killed run. These are its locks.

    Raises SealiftError naming the process that does not end.
    """
    end = time.monotonic() + _LOCK_WAIT_S
    for name in ("lock-frontend", "lock"):
        with (_DPKG / name).open("a") as file:
            while not _is_free(file):
                if time.monotonic() > end:
                    raise SealiftError(
                        f"{_DPKG / name}: is held by process {_holder(file)} for more than {_LOCK_WAIT_S} s, "
                        "expected no other apt or dpkg. Let that end, and run the command again."
                    )
                time.sleep(0.2)


def _is_free(file: IO[str]) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        return False
    return True


def _holder(file: IO[str]) -> str:
    """Number and name of the process that holds a lock. Source: fcntl_locking(2), F_GETLK; proc(5), comm."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    number = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))[-1]
    try:
        return f"{number} ({Path(f'/proc/{number}/comm').read_text().strip()})"
    except OSError:  # it has just ended, or is in another container
        return str(number)


def _end_what_was_begun() -> None:
    done = _run("dpkg", *_KEEP_CONFFILES, "--configure", "-a")
    require(
        done,
        "dpkg --configure -a",
        "it to end what an earlier installation of packages began",
        "Mend the package that it names, or remove it (dpkg --purge), and run the command again.",
    )


def _here() -> dict[str, _Here]:
    """What is wholly installed. Source: dpkg-query(1)."""
    form = "${db:Status-Status} ${db:Status-Want} ${Package} ${Version}\n"
    listed = _run("dpkg-query", "--show", f"--showformat={form}")
    require(listed, "dpkg-query", "it to list packages", "Mend what it names, and run the command again.")
    lines = (line.split() for line in listed.stdout.splitlines())
    found = [words for words in lines if len(words) == 4 and words[0] == "installed"]
    return {name: _Here(version, wanted == "hold") for _, wanted, name, version in found}


def _apt(packages: Sequence[Package], scratch: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Install files, and know of no others. Source of the options: apt.conf(5), dpkg(1)."""
    options = (
        "Dir::Etc::SourceList=/dev/null",
        "Dir::Etc::SourceParts=/dev/null",
        f"Dir::State::Lists={scratch}/lists",
        f"Dir::Cache={scratch}",
        f"DPkg::Lock::Timeout={_LOCK_WAIT_S}",
        *(f"Dpkg::Options::={option}" for option in _KEEP_CONFFILES),
        "APT::Sandbox::User=root",  # nothing is downloaded, and the files may lie where only root looks
    )
    flags = [part for option in options for part in ("-o", option)]
    return _run(*_APT, *flags, *more, "install", *(str(scratch / p.deb.name) for p in packages))


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return run(command, {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"})


def _require(done: subprocess.CompletedProcess[str], remedy: str) -> None:
    require(done, done.args[0], "it to install packages", remedy)


def _remedy(due: _Due) -> str:
    held = " ".join(_names(due.held))
    unhold = f"These are on hold here, older than in the release: apt-mark unhold {held}. " if held else ""
    return f"{unhold}Mend what it names, or have that package added to control.packages of the release."
