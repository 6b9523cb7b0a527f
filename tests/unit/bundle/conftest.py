"""A small bundle of real archives, and what it was built from."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.bundle.build import build
from sealift.progress import silent
from tests.unit import samples
from tests.unit.samples import Site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "cache"))
    return samples.site(tmp_path)


@pytest.fixture
def bundle(site: Site, tmp_path: Path) -> Path:
    build(site.lock, site.sources, tmp_path / "bundle", site.key, silent)
    return tmp_path / "bundle"
