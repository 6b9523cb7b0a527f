"""pip's requirements file, as far as one that pins everything goes: NAME==VERSION, markers and hashes.

Sources of the format: https://pip.pypa.io/en/stable/reference/requirements-file-format/ and
https://packaging.python.org/en/latest/specifications/dependency-specifiers/ for the markers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sealift.errors import SealiftError

# Without them nothing is installed where there is no index.
INSTALLERS = ("pip", "setuptools")
_HASH = re.compile(r"\s--hash=sha256:([0-9a-f]{64})(?=\s|$)")
_COMMENT = re.compile(r"(^|\s)#.*$")


@dataclass(frozen=True)
class Target:
    """The Python that wheels are for.

    + python: its whole version
    + glibc: minor version of glibc 2, which says what manylinux wheels run
    """

    python: str
    glibc: int

    @property
    def series(self) -> str:
        """Such as 3.13."""
        return self.python.rpartition(".")[0]

    @property
    def environment(self) -> dict[str, str]:
        """What markers are held against."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python,
            "os_name": "posix",
            "platform_machine": "x86_64",
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.python,
            "python_version": self.series,
            "sys_platform": "linux",
        }


@dataclass(frozen=True)
class Pinned:
    """A Python package of one version, and which files of it may be taken, by SHA-256 in hexadecimal."""

    name: str
    version: str
    hashes: tuple[str, ...]

    @property
    def line(self) -> str:
        """As a requirements file has it."""
        return " ".join(
            (f"{self.name}=={self.version}", *(f"--hash=sha256:{found}" for found in self.hashes))
        )


def parse_requirements(content: bytes, where: str, target: Target) -> tuple[Pinned, ...]:
    """What a requirements file asks for on this Python, in its order.

    + where: what it is, for messages

    Raises SealiftError with a line per mistake; one that lacks pip or setuptools is a mistake too.
    """
    found: dict[str, Pinned] = {}
    mistakes: list[str] = []
    for number, line in _lines(content.decode(errors="replace")):
        try:
            pinned = _parse(line, target)
        except ValueError as error:
            mistakes.append(f"{where}: line {number}: {error}.")
            continue
        if pinned and pinned.name in found:
            mistakes.append(f"{where}: line {number}: {pinned.name} stands there twice. Keep one.")
        elif pinned:
            found[pinned.name] = pinned
    lacking = [name for name in INSTALLERS if name not in found]
    if lacking and not mistakes:
        mistakes.append(
            f"{where}: lacks {' and '.join(lacking)}, which install the rest where there is no index. "
            "Compile it with the extra `control`."
        )
    if mistakes:
        raise SealiftError("\n".join(mistakes))
    return tuple(found.values())


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, those that go on joined, with the number of the first."""
    start, joined = 0, ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", raw).rstrip()
        start = start or number
        if line.endswith("\\"):
            joined += line[:-1]
            continue
        if (joined + line).strip():
            yield start, (joined + line).strip()
        start, joined = 0, ""
    if joined.strip():
        yield start, joined.strip()


def _parse(line: str, target: Target) -> Pinned | None:
    """A line's package; None where its marker says that this Python needs none. Raises ValueError."""
    if line.startswith("-"):
        raise ValueError(f"{line.split()[0]} is an option, expected NAME==VERSION with hashes. Remove it")
    hashes = tuple(_HASH.findall(line))
    text = _HASH.sub("", line).strip()
    try:
        wanted = Requirement(text)
    except (InvalidRequirement, RecursionError):  # of a marker in ten thousand brackets
        raise ValueError(f"{text[:100]!r} is no requirement, expected NAME==VERSION. Correct it") from None
    name = canonicalize_name(wanted.name)
    if wanted.marker is not None and not wanted.marker.evaluate(target.environment):
        return None
    versions = [(specifier.operator, specifier.version) for specifier in wanted.specifier]
    if wanted.url or len(versions) != 1 or versions[0][0] != "==" or "*" in versions[0][1]:
        raise ValueError(f"{name} is not pinned, expected {name}==VERSION. Compile the file again")
    if not hashes:
        raise ValueError(f"{name} has no sha256 hash. Compile the file again with --generate-hashes")
    return Pinned(name, versions[0][1], hashes)
