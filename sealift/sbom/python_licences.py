"""The licences that Python packages declare, as an SBOM names them.

Sources of the formats: https://packaging.python.org/en/latest/specifications/core-metadata/ and
https://packaging.python.org/en/latest/specifications/pyproject-toml/
"""

from __future__ import annotations

import lzma
import tarfile
import tomllib
import zipfile
import zlib
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from sealift.sbom.licences import Licences

_LIMIT = 1 << 20  # bytes of metadata
_LENGTH = 100  # characters of a name
_PREFIX = "License :: "
# Last parts of classifiers of one licence each -> SPDX identifiers; others, such as "BSD License", stand for
# several. Source: the list of the package trove-classifiers.
_CLASSIFIED = {
    "Apache Software License": "Apache-2.0",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Zope Public License": "ZPL-2.1",
    "zlib/libpng License": "Zlib",
}


def of_wheel(wheel: Path) -> Licences:
    """The licences that a wheel declares: an SPDX expression where it has one, else names.

    + wheel: the file, verified; its content is foreign all the same, so what cannot be read declares nothing
    """
    metadata = _metadata(wheel)
    classified = [
        value.removeprefix(_PREFIX).rpartition(" :: ")[2]
        for value in map(str, metadata.get_all("Classifier", ()))
        if value.startswith(_PREFIX)
    ]
    free = str(metadata.get("License", "")).strip()
    for text in (str(metadata.get("License-Expression", "")), free):
        if found := expression(text):
            return (found,)
    if classified:
        return tuple(sorted({_CLASSIFIED.get(name, name)[:_LENGTH] for name in classified}))
    return (free,) if 0 < len(free) <= _LENGTH and "\n" not in free else ()  # no whole licence


def of_project(code: Path) -> tuple[str, Licences]:
    """Version and licences that a project's `pyproject.toml` declares, in a tar file of it."""
    project = _project(code)
    version, licence = project.get("version"), project.get("license")
    found = expression(licence) if isinstance(licence, str) else None
    return version[:_LENGTH] if isinstance(version, str) else "", (found,) if found else ()


def expression(text: str) -> str | None:
    """A licence expression as SPDX writes it, or None where it is none of SPDX's."""
    try:
        return str(canonicalize_license_expression(text)) if 0 < len(text) <= _LENGTH else None
    except InvalidLicenseExpression:
        return None


def _metadata(wheel: Path) -> Message:
    content = b""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = (name for name in archive.namelist() if _is_metadata(name))
            if name := next(names, None):
                with archive.open(name) as file:
                    content = file.read(_LIMIT)
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        OSError,
        NotImplementedError,
        RuntimeError,
        EOFError,
        ValueError,
        MemoryError,
    ):
        pass  # no ZIP file, or packed or encrypted in a way that Python does not know or has no memory for
    return HeaderParser().parsestr(content.decode(errors="replace"))


def _is_metadata(name: str) -> bool:
    folder, _, file = name.partition("/")
    return folder.endswith(".dist-info") and file == "METADATA"


def _project(code: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(_read(code, "pyproject.toml")).get("project")
    except (tarfile.TarError, OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(code: Path, name: str) -> str:
    with tarfile.open(code, "r:") as archive:
        file = archive.extractfile(name) if name in archive.getnames() else None
        return "" if file is None else file.read(_LIMIT).decode(errors="replace")
