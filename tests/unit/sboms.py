"""A site whose images have a distribution below, and what its SBOM is held against."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from sealift.blobs import BlobStore
from sealift.oci.layout import SBOM_REF, SBOM_TYPE, read_index, read_layout

COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: hello

Files: *
License: GPL-2+ or Artistic
 Text that says License: nothing.

Files: lib/*
License: Expat

Files: doc/*
License: gpl-3+

License: Expat
 Permission is hereby granted ...
"""
STATUS = """Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Multi-Arch: same
Version: 2.41-12
Description: GNU C Library
 Package: not-a-package

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: libstdc++6
Status: install ok installed
Architecture: amd64
Version: 1:14.2~rc1+b2
"""
OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\nVERSION_CODENAME=trixie\n'


def root_layer(files: dict[str, str]) -> bytes:
    """A layer as of a distribution: with a device, and links that are absolute or lead out."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind, target in (
            ("dev/null", tarfile.CHRTYPE, ""),
            ("dev/fd", tarfile.SYMTYPE, "/proc/self/fd"),
            ("etc/out", tarfile.SYMTYPE, "../../out"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
        for name, text in files.items():
            content = text.encode(errors="surrogateescape")
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


DISTRIBUTION = root_layer(
    {
        "var/lib/dpkg/status": STATUS,
        "usr/lib/os-release": OS_RELEASE,
        "usr/share/doc/libc6/copyright": COPYRIGHT,
        "usr/share/doc/libstdc++6/copyright": "Copyright: see the sources.\n",
    }
)


def deb(folder: Path, name: str) -> bytes:
    """A real package with a copyright file."""
    (folder / "root/DEBIAN").mkdir(parents=True)
    control = f"Package: {name}\nVersion: 1.0\nArchitecture: amd64\nMaintainer: A <a@b.c>\nDescription: d\n"
    (folder / "root/DEBIAN/control").write_text(control)
    (folder / f"root/usr/share/doc/{name}").mkdir(parents=True)
    (folder / f"root/usr/share/doc/{name}/copyright").write_text(COPYRIGHT)
    (folder / "root/usr/bin").mkdir()
    (folder / "root/usr/bin/zeros").write_bytes(bytes(4 << 20))
    command = ("dpkg-deb", "--build", "--root-owner-group", str(folder / "root"), str(folder / f"{name}.deb"))
    subprocess.run(command, check=True, capture_output=True)
    return (folder / f"{name}.deb").read_bytes()


def sbom_of(bundle: Path) -> str:
    entry = read_layout(read_index(bundle), BlobStore(bundle)).entry(SBOM_REF)
    (layer,) = entry.manifest.layers
    assert layer.media_type == SBOM_TYPE
    return BlobStore(bundle).path(layer.blob).read_text()


def components(parent: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for component in parent.get("components", []):
        yield component
        yield from components(component)


def of_kind(sbom: str, kind: str) -> list[dict[str, Any]]:
    return [found for found in components(json.loads(sbom)) if found["type"] == kind]


def licences(component: dict[str, Any]) -> list[str]:
    chosen = [choice["license"] for choice in component.get("licenses", [])]
    return [licence.get("id") or licence["name"] for licence in chosen]


def assert_valid(sbom: str) -> None:
    """By CycloneDX's own schema; references are unique and package URLs canonical beyond it."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom) is None
    found = list(components(json.loads(sbom)))
    assert len({component["bom-ref"] for component in found}) == len(found)
    for component in found:
        if "purl" in component:
            assert PackageURL.from_string(component["purl"]).to_string() == component["purl"]
