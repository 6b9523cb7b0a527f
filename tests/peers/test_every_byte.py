"""Every single byte of a tiny but whole bundle; ssh-keygen is asked about each of its index and signature."""

from __future__ import annotations

import functools
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from unittest.mock import patch

import pytest

from sealift.bundle import signature
from sealift.depot.store import Depot
from sealift.oci.layout import SIGNATURE
from tests.unit import tiny
from tests.unit.samples import Site
from tests.unit.test_bundle_damage import SMALL, damaged, means_the_same, passing

pytestmark = pytest.mark.exhaustive
_AT_ONCE = 400  # bytes of a blob that one process tries


def _tried(site: Site, folder: Path, name: str, begin: int) -> int:
    """How many damages to some bytes of a blob were refused, in a bundle and a depot of its own."""
    shutil.copytree(site.sources.parent / "bundle", folder / "bundle")
    own = Site(site.lock, folder / "sources", site.key, site.allowed)
    path = folder / "bundle/blobs/sha256" / name
    whole = path.read_bytes()
    contents = list(damaged(whole, range(begin, min(begin + _AT_ONCE, len(whole))), (1,)))
    with patch.object(signature, "verify", functools.cache(signature.verify)):
        assert passing(own, Depot(folder / "depot"), path, iter(contents)) == []
    return len(contents)


def test_every_damage_to_every_blob_is_refused(tmp_path: Path) -> None:
    site = tiny.site(tmp_path)
    blobs = sorted((tmp_path / "bundle/blobs/sha256").iterdir())
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        tries = [
            pool.submit(_tried, site, tmp_path / f"{path.name}.{begin}", path.name, begin)
            for path in blobs
            for begin in range(0, path.stat().st_size, _AT_ONCE)
        ]
        tried = sum(each.result() for each in tries)
    assert tried > 2 * sum(path.stat().st_size for path in blobs) > 20_000


@pytest.mark.parametrize("name", SMALL)
def test_every_damage_to_index_signature_and_marker_is_refused(tmp_path: Path, name: str) -> None:
    site = tiny.site(tmp_path)
    path, depot = tmp_path / "bundle" / name, Depot(tmp_path / "depot")
    whole = path.read_bytes()
    contents = damaged(whole, range(len(whole)), (1,) if name == SIGNATURE else (1, 0x80))
    other = (content for content in contents if not means_the_same(name, content, whole))
    assert passing(site, depot, path, other) == []
    assert not depot.path.exists()
