"""The images that watch a fleet: each is Debian's packages of one program, on the base that all images share.

Programs are named as in upstream's own images, so that a site may take those.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from demo.archive import ImageSettings, write_docker_archive
from demo.cache import Recipe
from demo.images import BASE_PACKAGES, SHARED, debian_root, normalise
from sealift.errors import SealiftError

# Of services that nobody starts here, and of the days on which users were made.
_LEFT_OUT = ("etc/", "usr/lib/systemd/", "usr/lib/sysusers.d/", "usr/lib/tmpfiles.d/", "usr/share/debconf/")
_STATE = "var/lib/"
_STATUS = "var/lib/dpkg/status"  # what the bill of materials is read from


@dataclass(frozen=True)
class Program:
    """A program of Debian's as an image.

    + name: of the image, its archive and the service
    + version: upstream's, as Debian trixie has it
    + packages: beside those of the base
    + renamed: paths in the packages, and what they are in the image
    """

    name: str
    version: str
    packages: tuple[str, ...]
    entrypoint: tuple[str, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def image(self) -> str:
        """Its name as in a release."""
        return f"localhost/sealift/{self.name}:{self.version}"

    @property
    def archive(self) -> str:
        """The file that `docker save` would write."""
        return f"{self.name}-{self.version}.tar"


PROGRAMS = (
    Program(
        "node",
        "1.9.0",
        ("prometheus-node-exporter",),
        ("/bin/node_exporter",),
        {"usr/bin/prometheus-node-exporter": "usr/bin/node_exporter"},
    ),
    Program("probe", "0.21.1", ("python3", "python3-prometheus-client"), ("/usr/bin/python3",)),
    Program("prometheus", "2.53.3", ("prometheus", "promtool"), ("/bin/prometheus",)),
    Program(
        "alertmanager",
        "0.28.1",
        ("prometheus-alertmanager",),
        ("/bin/alertmanager",),
        {"usr/bin/prometheus-alertmanager": "usr/bin/alertmanager"},
    ),
)


def watch_image(program: Program, base_entry: Path) -> Recipe:
    """`NAME-VERSION.tar`, as `docker save` writes it."""

    def build(result: Path, work: Path) -> None:
        normalise(debian_root(work, (*BASE_PACKAGES, *program.packages)), work / "whole.tar")
        base, layer = base_entry / "base.tar", work / "layer.tar"
        write_difference(work / "whole.tar", base, layer, program.renamed)
        settings = ImageSettings(entrypoint=program.entrypoint, command=())
        write_docker_archive(result / program.archive, program.image, (base, layer), settings)

    packages = ", ".join(program.packages)
    inputs = {"base": base_entry.name, "image": program.image, "packages": packages}
    made_from = f"debian-base and Debian's {packages}, docker save format"
    return Recipe(f"{program.name}-image", made_from, inputs, (*SHARED, Path(__file__)), build)


def write_difference(whole: Path, base: Path, target: Path, renamed: Mapping[str, str]) -> None:
    """Write what a root has beside its base, as a layer.

    + whole, base: tar files that `normalise` wrote
    + renamed: paths in the root, and what they are in the layer

    Raises SealiftError where one that is to be renamed is not there.
    """
    with tarfile.open(base) as lower:
        below = {member.name: _identity(lower, member) for member in lower}
    missing = set(renamed)
    with tarfile.open(whole) as source, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as output:
        for member in source:
            if not _is_wanted(member.name) or below.get(member.name) == _identity(source, member):
                continue
            missing.discard(member.name)
            member.name = renamed.get(member.name, member.name)
            output.addfile(member, source.extractfile(member) if member.isreg() else None)
    if missing:
        raise SealiftError(f"{whole}: lacks {', '.join(sorted(missing))}. Has Debian renamed it?")


def _is_wanted(name: str) -> bool:
    return not name.startswith(_LEFT_OUT) and (not name.startswith(_STATE) or name == _STATUS)


def _identity(tar: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[object, ...]:
    file = tar.extractfile(member) if member.isreg() else None
    content = hashlib.sha256(file.read()).hexdigest() if file else ""
    return member.type, member.mode, member.linkname, content
