"""Docker's and NVIDIA's apt repositories in small, signed, and releases that take packages from them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pysequoia

from sealift.release.locked import Lock
from sealift.release.types import Release
from sealift.sources.apt import lock_packages
from sealift.sources.apt_sources import key_digests, read_keys
from sealift.sources.source import BuildMachine
from tests.lab.commands import CHECKOUT, Commands
from tests.peers import apt_repository as apt
from tests.unit import samples

NVIDIA = "nvidia-container-toolkit-base"
DOCKER_URL, NVIDIA_URL = "https://download.docker.com/linux/debian", "https://nvidia.github.io/stable/deb"
# the sources by their real addresses, and where a test finds them
Sources = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Vendors:
    """Both repositories in one folder, and the keys that vouch for them.

    + www: what is served
    + sources: with the keys
    """

    www: Path
    sources: Path
    debs: list[Path]
    key: pysequoia.Tsk

    @property
    def toolkit(self) -> Path:
        """NVIDIA's package."""
        (found,) = (self.www / "nvidia").glob("*.deb")
        return found

    @property
    def dist(self) -> Path:
        return self.www / "docker/dists" / apt.SUITE


def make(root: Path) -> Vendors:
    """Two packages that Debian 13 lacks, and what they need, in Docker's shape; the toolkit in NVIDIA's."""
    ingredients = CHECKOUT / "build/ingredients"
    Commands(CHECKOUT / ".lab").ok("python", "-m", "demo.ingredients", ingredients)
    key = apt.new_key()
    found = apt.debian_debs(
        root / "debs", "bookworm", "libbaseencode1", "libbaseencode-dev", "libc6", "libgcc-s1", "gcc-12-base"
    )
    apt.docker_shaped(root / "www/docker", found, key)
    apt.nvidia_shaped(root / "www/nvidia", (ingredients / "nvidia-apt").glob("*.deb"), key)
    (root / "sources").mkdir()
    apt.write_key(root / "sources/vendor.asc", key)
    return Vendors(root / "www", root / "sources", found, key)


def copy_of(originals: Vendors, folder: Path) -> Vendors:
    """A copy to spoil."""
    shutil.copytree(originals.www, folder / "www")
    shutil.copytree(originals.sources, folder / "sources")
    return Vendors(folder / "www", folder / "sources", originals.debs, originals.key)


def sources_at(docker: str, nvidia: str) -> Sources:
    return {
        "docker": {"url": docker, "key": "vendor.asc", "suites": ["trixie"], "components": ["stable"]},
        "nvidia": {"url": nvidia, "key": "vendor.asc", "suites": ["/"]},
    }


def served_at(port: int) -> Sources:
    return sources_at(f"http://127.0.0.1:{port}/docker", f"http://127.0.0.1:{port}/nvidia/")


def mirrors_at(port: int) -> dict[str, str]:
    at = f"http://127.0.0.1:{port}"
    return {"SEALIFT_MIRRORS": f"apt:docker={at}/docker docker.io=https://hub apt:nvidia={at}/nvidia/"}


def release_of(sources: Sources) -> Release:
    wanted = {"base": ["libc6"], "all": ["libbaseencode-dev"], "gpu": [NVIDIA]}
    return samples.release(packages={"sources": sources, **wanted})


def lock_of(release: Release, machine: BuildMachine) -> Lock:
    keys = read_keys(release, machine.sources)
    packages = lock_packages(release, machine, keys)
    return Lock(release=release, keys=key_digests(keys), packages=packages, images={}, models={})
