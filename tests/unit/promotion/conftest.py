"""A site that promotes, made once for each module; each test finds it without any statement."""

from __future__ import annotations

import shutil

import pytest

from tests.unit import promoting
from tests.unit.promoting import Promoting


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Promoting:
    return promoting.make(tmp_path_factory.mktemp("promoting"))


@pytest.fixture
def site(made: Promoting) -> Promoting:
    for folder in ("promotions", "evidence"):
        shutil.rmtree(made.folder / folder, ignore_errors=True)
    return made
