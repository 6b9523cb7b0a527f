"""A project with pip's index beside it, and a release whose control node gets it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sealift.blobs import BlobStore
from sealift.bundle.build import BundleInfo, build
from sealift.bundle.have_list import NOTHING, HaveList
from sealift.cache import cache_folder
from sealift.progress import silent
from sealift.release.locked import Lock, LockedControl
from sealift.release.lockfile import dump_lock, load_lock
from sealift.sources.control import lock_control
from tests.unit import samples
from tests.unit.test_code import FILES, checkout
from tests.unit.wheels import pinned, pip_index, wheel

SSH = b"an ssh client"


def prepare(folder: Path) -> Path:
    """A project with pip's index beside it, and a release whose control node gets it and an SSH client."""
    wheels = [wheel(folder / "index", name) for name in ("pip", "setuptools")]
    wheels.append(wheel(folder / "index", "greenlet", metadata="License-Expression: MIT AND PSF-2.0\n"))
    project = checkout(folder / "project", {**FILES, "requirements.txt": pinned(*wheels)})
    with pytest.MonkeyPatch.context() as patch:
        pip_index(folder / "index", patch)
        site = samples.site(folder)
        release = samples.release(control={"packages": ["ssh"]})
        control = lock_control(release, project, cache_of(folder), silent)
    (site.sources / "apt/ssh.deb").write_bytes(SSH)
    packages = (*site.lock.packages, samples.package("ssh", SSH, groups=("control",)))
    more = {"release": release, "packages": packages, "control": control}
    (folder / "lock").write_bytes(dump_lock(site.lock.model_copy(update=more)))
    return folder


def copy_of(prepared: Path, folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """The project in a copy of what was prepared, which a test may change."""
    shutil.copytree(prepared, folder, dirs_exist_ok=True)
    pip_index(folder / "index", patch)
    patch.setenv("SEALIFT_CACHE", str(folder / "cache"))
    return folder / "project"


def site_in(folder: Path) -> samples.Site:
    lock = load_lock(folder / "lock")
    return samples.Site(lock, folder / "sources", folder / "signing_key", folder / "allowed_signers")


def cache_of(folder: Path) -> BlobStore:
    return BlobStore(cache_folder({"SEALIFT_CACHE": str(folder / "cache")}))


def control_of(lock: Lock) -> LockedControl:
    assert lock.control is not None
    return lock.control


def build_in(site: samples.Site, project: Path, out: Path, have: HaveList = NOTHING) -> BundleInfo:
    return build(site.lock, site.sources, out, site.key, silent, have, project)
