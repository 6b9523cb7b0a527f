"""The licences that Debian's copyright files declare, as an SBOM names them.

Source of the format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/ ("DEP-5").
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import IO

from sealift.errors import SealiftError
from sealift.sources.compression import FLOOR, RATIO

COPYRIGHT_LIMIT = 1 << 20  # bytes; the longest of Debian's main are near half of that
_AR = b"!<arch>\n"  # what a .deb begins with
_LICENCES = 64  # of one package
_LENGTH = 100  # characters of a name
_FIELD = re.compile(r"^License:[ \t]*(\S[^\n]*)$", re.MULTILINE)
# Short names of DEP-5, lower case -> SPDX identifiers. Debian's Expat is what SPDX calls MIT.
_SPDX = {
    "agpl-3": "AGPL-3.0-only",
    "agpl-3+": "AGPL-3.0-or-later",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-4-clause": "BSD-4-Clause",
    "cc0": "CC0-1.0",
    "expat": "MIT",
    "gpl-1": "GPL-1.0-only",
    "gpl-1+": "GPL-1.0-or-later",
    "gpl-2": "GPL-2.0-only",
    "gpl-2+": "GPL-2.0-or-later",
    "gpl-2.0": "GPL-2.0-only",
    "gpl-2.0+": "GPL-2.0-or-later",
    "gpl-3": "GPL-3.0-only",
    "gpl-3+": "GPL-3.0-or-later",
    "gpl-3.0": "GPL-3.0-only",
    "gpl-3.0+": "GPL-3.0-or-later",
    "lgpl-2": "LGPL-2.0-only",
    "lgpl-2+": "LGPL-2.0-or-later",
    "lgpl-2.1": "LGPL-2.1-only",
    "lgpl-2.1+": "LGPL-2.1-or-later",
    "lgpl-3": "LGPL-3.0-only",
    "lgpl-3+": "LGPL-3.0-or-later",
    "lppl-1.3c": "LPPL-1.3c",
    "zlib": "Zlib",
} | {
    name.lower(): name
    for name in (
        *("0BSD", "Apache-2.0", "Artistic-2.0", "BSL-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0"),
        *("CC-BY-SA-4.0", "CC0-1.0", "FSFAP", "FSFUL", "FSFULLR", "ISC", "MIT", "MPL-1.1", "MPL-2.0"),
        *("OFL-1.1", "OpenSSL", "PSF-2.0", "Unicode-DFS-2016", "Unlicense", "W3C", "X11"),
    )
}

Licences = tuple[str, ...]
"""Names as a copyright file has them, sorted."""


def declared(copyright_file: str) -> Licences:
    """The licences that a copyright file of DEP-5's form names; none where it is of another form.

    + copyright_file: its text; foreign, so bounded
    """
    header = copyright_file.split("\n\n", 1)[0]
    if "\nFormat:" not in f"\n{header}":
        return ()
    names = {name.strip()[:_LENGTH] for name in _FIELD.findall(copyright_file)}
    return tuple(sorted(names)[:_LICENCES])


def spdx(name: str) -> str | None:
    """The identifier in SPDX's list of a licence that DEP-5 names, if it has one here."""
    return _SPDX.get(name.lower())


def of_deb(name: str, deb: Path) -> Licences:
    """The licences that a .deb declares.

    + name: the package's
    + deb: the file, verified

    Raises SealiftError where dpkg-deb cannot unpack it, or it grows to more than can be meant.
    """
    return declared(_copyright_file(name, deb))


def _copyright_file(name: str, deb: Path) -> str:
    """A package's own copyright file, streamed out of it; empty where it has none, as where its folder of
    documentation is a link to another package's."""
    with deb.open("rb") as file:
        if file.read(len(_AR)) != _AR:
            return ""
    most = str(FLOOR + RATIO * deb.stat().st_size)
    with subprocess.Popen(
        ("dpkg-deb", "--fsys-tarfile", str(deb)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as unpack:
        with subprocess.Popen(("head", "-c", most), stdin=unpack.stdout, stdout=subprocess.PIPE) as bounded:
            content, found = _pick(f"./usr/share/doc/{name}/copyright", _pipe(bounded))
        has_more = not found and bool(_pipe(unpack).read(1))
    # found early, unpacking ends by a broken pipe; only where nothing was found does its end tell something
    if has_more:
        raise SealiftError(f"packages: {name}: {deb} grows to more than {RATIO} times its size. Refuse it.")
    if not found and unpack.returncode != 0:
        raise SealiftError(f"packages: {name}: dpkg-deb cannot unpack {deb}. Is it a Debian package?")
    return content.decode(errors="replace")


def _pick(member: str, archive: IO[bytes]) -> tuple[bytes, bool]:
    """Read one small file out of a stream, and close that."""
    command = ("tar", "--extract", "--to-stdout", "--occurrence=1", "--file=-", "--", member)
    with subprocess.Popen(command, stdin=archive, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tar:
        archive.close()
        content = _pipe(tar).read(COPYRIGHT_LIMIT)
        _pipe(tar).close()
    return content, tar.returncode == 0 or len(content) == COPYRIGHT_LIMIT


def _pipe(child: subprocess.Popen[bytes]) -> IO[bytes]:
    if child.stdout is None:
        raise ValueError("started without a pipe")
    return child.stdout
