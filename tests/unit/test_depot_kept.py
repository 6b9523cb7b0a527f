"""Once a release is shipped, the depot may be gone: a rollout keeps what it still reads of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sealift.depot.activation import ACTIVATION, activating, reading
from sealift.depot.store import Depot, StoredRelease, signed_repository
from sealift.errors import SealiftError
from tests.unit import promoting

DEMO = "demo:2026.11.0"


@pytest.fixture
def depot(tmp_path: Path) -> tuple[Depot, StoredRelease]:
    made = promoting.make(tmp_path)
    return Depot(tmp_path / "depot"), made.stored


def test_a_release_and_its_packages_index_are_read_without_the_depot(
    depot: tuple[Depot, StoredRelease], tmp_path: Path
) -> None:
    site, stored = depot
    by_digest = f"demo@{stored.digest}"
    packages = signed_repository(site, stored)
    with activating(site, [DEMO, by_digest], tmp_path / "kept"):
        shutil.rmtree(site.path)
        assert reading(site.path).resolve(DEMO) == stored
        assert reading(site.path).resolve(by_digest) == stored
        assert signed_repository(reading(site.path), stored) == packages
    with activating(site, [DEMO], tmp_path / "kept"):  # as after --resume
        assert reading(site.path).resolve(DEMO) == stored
    assert ACTIVATION not in os.environ
    with pytest.raises(SealiftError, match="not in the depot"):
        reading(site.path).resolve(DEMO)


def test_no_package_image_or_model_is_kept(depot: tuple[Depot, StoredRelease], tmp_path: Path) -> None:
    site, stored = depot
    with activating(site, [DEMO], tmp_path / "kept"):
        kept = {path.name for path in (tmp_path / "kept/blobs/sha256").iterdir()}
    lock = stored.lock
    content = [package.blob for package in lock.packages]
    content += [layer for image in lock.images.values() for layer in image.layers]
    content += [blob for model in lock.models.values() for blob in model.blobs]
    assert kept and not kept & {blob.hex for blob in content}
    assert not list((tmp_path / "kept").rglob("*.pgp")), "the site's key stays where it is"


def test_where_another_release_is_named_by_now_the_depot_is_read(
    depot: tuple[Depot, StoredRelease], tmp_path: Path
) -> None:
    site, stored = depot
    with activating(site, [DEMO], tmp_path / "kept"):
        pass
    pointer = site.pointer("demo", "2026.12.0")
    pointer.write_text(f"{stored.digest}\n")
    with activating(site, ["demo:2026.12.0"], tmp_path / "kept"):
        assert ACTIVATION not in os.environ
        assert reading(site.path).resolve("demo:2026.12.0") == stored


def test_what_hosts_still_run_is_kept_as_far_as_the_depot_has_it(
    depot: tuple[Depot, StoredRelease], tmp_path: Path
) -> None:
    site, stored = depot
    asked: list[str] = []

    def left() -> list[str]:
        asked.append("now")
        return [f"demo@{stored.digest}", f"demo@sha256:{'0' * 64}"]

    for _ in range(2):  # the second as after --resume, when other releases run already
        with activating(site, [], tmp_path / "kept", left):
            assert reading(site.path).path != site.path
            assert reading(site.path).resolve(f"demo@{stored.digest}") == stored
    assert asked == ["now"]
