"""Which Debian packages are inside an image: read from dpkg's records in its layers, without unpacking them.

Layers are foreign even where their digest is right. Source of the format: deb822(5), dpkg(1) "FILES".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from sealift.errors import SealiftError
from sealift.oci.tarball import Tarball
from sealift.release.values import Frozen
from sealift.sbom.licences import COPYRIGHT_LIMIT, Licences, declared

_STATUS_LIMIT = 16 << 20  # bytes; 1,000 packages take about one MiB
_OS_RELEASE_LIMIT = 64 << 10  # bytes
_PACKAGES = 20_000
_LENGTH = 255  # characters of a name or a version
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")  # Debian policy 5.6.7
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")  # os-release(5)
_STATUS = "var/lib/dpkg/status"
_STATUS_FOLDER = "var/lib/dpkg/status.d/"  # distroless images: a file for each package
_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")


class InstalledPackage(Frozen):
    """A package of a root file system."""

    name: str
    version: str
    architecture: str = ""
    maintainer: str = ""


class LayerRecords(Frozen):
    """What a layer says about packages."""

    readable: bool = True  # False: no tar file that we read, or beyond all bounds
    packages: tuple[InstalledPackage, ...] = ()
    distribution: str = ""  # os-release's ID, such as debian
    codename: str = ""  # os-release's VERSION_CODENAME, such as trixie
    licences: dict[str, Licences] = Field(default_factory=dict, description="by package name")


def read_layer(path: Path) -> LayerRecords:
    """Read one layer's records.

    + path: an uncompressed tar file
    """
    try:
        return _read_records(Tarball(path, of_root=True))
    except SealiftError:
        return LayerRecords(readable=False)


def whole_image(layers: tuple[LayerRecords, ...]) -> LayerRecords:
    """What layers say together: the uppermost list of packages counts, for it repeats those below.

    + layers: from the lowest up
    """
    system = next((layer for layer in reversed(layers) if layer.distribution), LayerRecords())
    return LayerRecords(
        readable=all(layer.readable for layer in layers),
        packages=next((layer.packages for layer in reversed(layers) if layer.packages), ()),
        distribution=system.distribution,
        codename=system.codename,
        licences={name: found for layer in layers for name, found in layer.licences.items()},
    )


def _read_records(tarball: Tarball) -> LayerRecords:
    names = set(tarball.names())
    system = next((_read(tarball, name, _OS_RELEASE_LIMIT) for name in _OS_RELEASE if name in names), "")
    about = {key: value.strip("\"'") for key, value in _pairs(system, "=")}
    about = {key: value for key, value in about.items() if _IDENTIFIER.fullmatch(value)}
    return LayerRecords(
        packages=_packages(list(_stanzas(tarball, names))),
        distribution=about.get("ID", ""),
        codename=about.get("VERSION_CODENAME", about.get("VERSION_ID", "")),
        licences=dict(_licences(tarball, names)),
    )


def _stanzas(tarball: Tarball, names: set[str]) -> Iterator[str]:
    if _STATUS in names:
        yield from _read(tarball, _STATUS, _STATUS_LIMIT).split("\n\n")
    for name in sorted(names):
        if name.startswith(_STATUS_FOLDER) and not name.endswith(".md5sums"):
            yield _read(tarball, name, _STATUS_LIMIT)


def _packages(stanzas: list[str]) -> tuple[InstalledPackage, ...]:
    if len(stanzas) > _PACKAGES:
        raise SealiftError(f"{_STATUS}: has more than {_PACKAGES} packages. Is it the right image?")
    found = {}
    for stanza in stanzas:
        fields = {key: value[:_LENGTH] for key, value in _pairs(stanza, ":")}
        name, version = fields.get("Package", ""), fields.get("Version")
        # distroless records have no state; dpkg keeps removed packages that left configuration behind
        installed = fields.get("Status", "ok installed").endswith(" installed")
        if _NAME.fullmatch(name) and version and installed:
            architecture = fields.get("Architecture", "")
            found[name, version, architecture] = InstalledPackage(
                name=name,
                version=version,
                architecture=architecture,
                maintainer=fields.get("Maintainer", ""),
            )
    return tuple(package for _, package in sorted(found.items()))


def _licences(tarball: Tarball, names: set[str]) -> Iterator[tuple[str, Licences]]:
    for name in sorted(names):
        match name.split("/"):
            case ["usr", "share", "doc", package, "copyright"] if _NAME.fullmatch(package):
                if found := declared(_read(tarball, name, COPYRIGHT_LIMIT)):
                    yield package, found


def _pairs(text: str, separator: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, found, value = line.partition(separator)
        if found and not key.startswith((" ", "\t", "#")):
            yield key, value.strip()


def _read(tarball: Tarball, name: str, limit: int) -> str:
    return tarball.read(name, limit).decode(errors="replace")
