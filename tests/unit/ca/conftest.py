"""A new site, whose CA and certificates `sealift init` made."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.site.init import make_site
from sealift.site.inventory import Inventory, load_inventory
from tests.unit.test_site import site


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    """The folder of a new site's certificates."""
    return make_site(site(tmp_path), tmp_path / "sites").folder / "tls"


@pytest.fixture
def acme(tls: Path) -> Inventory:
    return load_inventory(str(tls.parent))
