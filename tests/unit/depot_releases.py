"""A depot with three releases, each with a package of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.blob import Blob
from sealift.bundle.build import build
from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot
from sealift.progress import silent
from tests.unit import samples
from tests.unit.samples import Site


def make(folder: Path) -> Site:
    """Three releases, each with a package of its own, and bundles of them: v0, v1, v2."""
    site = samples.site(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEALIFT_CACHE", str(folder / "cache"))
        for number in range(3):
            content = b"package of release %d" % number
            (site.sources / "apt" / f"own{number}.deb").write_bytes(content)
            packages = (*site.lock.packages, samples.package(f"own{number}", content))
            release = site.lock.release.model_copy(update={"version": f"2026.{9 + number}.0"})
            lock = site.lock.model_copy(update={"release": release, "packages": packages})
            build(lock, site.sources, folder / f"v{number}", site.key, silent)
    return site


def fill(made: Site, path: Path) -> Depot:
    """A depot with all three."""
    depot = Depot(path)
    for number in range(3):
        import_bundle(depot, bundle(made, number), made.allowed, silent)
    return depot


def bundle(made: Site, number: int) -> Path:
    return made.sources.parent / f"v{number}"


def blobs(depot: Depot) -> set[str]:
    return {path.name for path in depot.store.folder.iterdir()}


def damage(depot: Depot, blob: Blob) -> None:
    path = depot.store.path(blob)
    content = path.read_bytes()
    path.unlink()  # the bundle has the same file
    path.write_bytes(b"\xff" + content[1:])
