"""A release whose control node gets a project, prepared once for each module and copied for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit import samples
from tests.unit.control_site import copy_of, prepare, site_in


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def project(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return copy_of(prepared, tmp_path, monkeypatch)


@pytest.fixture
def site(tmp_path: Path, project: Path) -> samples.Site:
    return site_in(tmp_path)
