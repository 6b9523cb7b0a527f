"""NVIDIA's container toolkit: the real programs, built from their Go modules, as a vendor's apt repository.

Source of the formats: deb-control(5); https://wiki.debian.org/DebianRepository/Format, "Flat Repository".
"""

from __future__ import annotations

import hashlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pysequoia

from demo.archive import EPOCH
from demo.cache import Recipe
from demo.commands import run
from demo.go import Go, install
from sealift.depot.repository import certificate, clearsign, release_file

VERSION = "1.20.0"
PACKAGE = "nvidia-container-toolkit-base"
_MODULE = "github.com/NVIDIA/nvidia-container-toolkit"
PROGRAMS = ("nvidia-cdi-hook", "nvidia-container-runtime", "nvidia-ctk")
_HERE = Path(__file__).parent


def programs(go: Go) -> Recipe:
    """The toolkit's programs and their `LICENSE`."""
    # As its Makefile has it: libnvidia-ml is opened at run time, so its symbols are bound late.
    ldflags = f"-s -w '-extldflags=-Wl,-z,lazy' -X={_MODULE}/internal/info.version={VERSION}"
    packages = tuple(f"{_MODULE}/cmd/{program}@v{VERSION}" for program in PROGRAMS)
    return Recipe(
        "nvidia-toolkit",
        f"{_MODULE}@v{VERSION} by {go.version}",
        {"programs": " ".join(packages), "go": go.version, "ldflags": ldflags, "c_flags": go.c_flags},
        (_HERE / "go.py",),
        lambda result, work: install(go, packages, ldflags, result, work),
    )


def repository(toolkit: Path) -> Recipe:
    """A signed flat apt repository with the package, and `key.asc`."""
    return Recipe(
        "nvidia-apt",
        f"nvidia-toolkit as {deb_name()}, signed",
        {"toolkit": toolkit.name},
        (Path(__file__),),
        lambda result, work: _build_repository(toolkit, result, work),
    )


def deb_name() -> str:
    """File name of the package."""
    return f"{PACKAGE}_{VERSION}-1_amd64.deb"


def deb_control(installed_kib: int) -> str:
    """The package's control file.

    + installed_kib: KiB of its files
    """
    return (
        f"Package: {PACKAGE}\n"
        f"Version: {VERSION}-1\n"
        "Architecture: amd64\n"
        "Maintainer: sealift demo <demo@sealift.invalid>\n"
        f"Installed-Size: {installed_kib}\n"
        "Depends: libc6 (>= 2.34)\n"
        "Section: utils\n"
        "Priority: optional\n"
        f"Homepage: https://{_MODULE}\n"
        "Description: NVIDIA Container Toolkit Base\n"
        " nvidia-ctk, nvidia-container-runtime and nvidia-cdi-hook, built for the demo of sealift from\n"
        f" their Go modules at v{VERSION}. Real sites take NVIDIA's own package of the same name.\n"
    )


def packages_index(control_file: str, deb: bytes) -> bytes:
    """The `Packages` file of the repository.

    + control_file: as `deb_control` has it
    + deb: the package's content
    """
    digest = hashlib.sha256(deb).hexdigest()
    return f"{control_file}Filename: {deb_name()}\nSize: {len(deb)}\nSHA256: {digest}\n\n".encode()


def _build_repository(toolkit: Path, result: Path, work: Path) -> None:
    tree = work / "tree"
    kib = _lay_out(toolkit, tree)
    control_file = deb_control(kib)
    (tree / "DEBIAN").mkdir(mode=0o755)
    (tree / "DEBIAN/control").write_text(control_file)
    (tree / "DEBIAN/control").chmod(0o644)
    run(
        ("dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", str(tree), str(result / deb_name())),
        work / "dpkg-deb.log",
        {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)},
    )
    packages = packages_index(control_file, (result / deb_name()).read_bytes())
    release = release_file(packages, "sealift demo", datetime.fromtimestamp(EPOCH, UTC))
    # Version 4 keys, which gpgv of Debian 12 knows. The private half signs this once and is not kept.
    key = pysequoia.Tsk.generate("sealift demo <demo@sealift.invalid>", profile=pysequoia.Profile.RFC4880)
    (result / "Packages").write_bytes(packages)
    (result / "Release").write_bytes(release)
    (result / "InRelease").write_bytes(clearsign(release, key))
    (result / "key.asc").write_bytes(certificate(key))


def _lay_out(toolkit: Path, tree: Path) -> int:
    """Put the programs and the licence where the package installs them; returns KiB."""
    placed = {toolkit / program: tree / "usr/bin" / program for program in PROGRAMS}
    placed[toolkit / "LICENSE"] = tree / "usr/share/doc" / PACKAGE / "copyright"
    for source, target in placed.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o755 if target.parent.name == "bin" else 0o644)
    for folder in (tree, *(path for path in tree.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    return sum(-(-target.stat().st_size // 1024) for target in placed.values())
