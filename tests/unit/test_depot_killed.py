"""Import, repair and gc, killed at every step: each release is whole or not there, and again finishes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealift.blob import Blob
from sealift.depot.collecting import collect
from sealift.depot.fsck import Checked, fsck
from sealift.depot.importing import import_bundle
from sealift.depot.repair import BlobFolder
from sealift.depot.store import Depot
from sealift.progress import silent
from tests.unit import depot_releases, samples
from tests.unit.depot_releases import bundle, damage
from tests.unit.killing import killed_at
from tests.unit.samples import Site


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return depot_releases.make(tmp_path_factory.mktemp("made"))


@pytest.fixture
def depot(made: Site, tmp_path: Path) -> Depot:
    """What was there before: a release of which the weights are damaged."""
    depot = Depot(tmp_path / "depot")
    import_bundle(depot, bundle(made, 0), made.allowed, silent)
    damage(depot, _weights(made))
    return depot


def _weights(made: Site) -> Blob:
    return max(made.lock.models[samples.MODEL].layers, key=lambda blob: blob.size)


def _killed(before: Path, work: Callable[[Depot], object]) -> Iterator[Depot]:
    """A copy of the depot for each step at which work on it was killed."""
    for step in range(1, 1000):
        path = before.with_name(f"killed{step}")
        if before.exists():
            shutil.copytree(before, path, copy_function=os.link)
        depot = Depot(path)
        if not killed_at(step, lambda depot=depot: work(depot)):  # type: ignore[misc]
            assert step > 8
            return
        yield depot
        shutil.rmtree(path)


def _bad(checked: Checked) -> set[str]:
    return {finding.digest for finding in checked.findings}


def _assert_import_is_whole_or_not_at_all(made: Site, before: Path, carried: Path) -> None:
    name = "demo:2026.10.0"

    def work(depot: Depot) -> object:
        return import_bundle(depot, carried, made.allowed, silent)

    for killed in _killed(before, work):
        if killed.path.exists():
            checked = fsck(killed, (), silent)
            assert not checked.broken
            assert _bad(checked) <= (set() if name in killed.releases() else {_weights(made).digest})
        work(killed)
        assert fsck(killed, (), silent).ok
        assert killed.resolve(name).lock.release.reference == name


def test_a_first_import_that_shares_files_is_whole_or_not_at_all(made: Site, tmp_path: Path) -> None:
    _assert_import_is_whole_or_not_at_all(made, tmp_path / "nothing", bundle(made, 1))


def test_an_import_that_copies_and_heals_is_whole_or_not_at_all(
    made: Site, depot: Depot, tmp_path: Path
) -> None:
    for path in (shutil.copytree(bundle(made, 1), tmp_path / "carried") / "blobs/sha256").iterdir():
        path.chmod(0o644)  # as on most media
    _assert_import_is_whole_or_not_at_all(made, depot.path, tmp_path / "carried")


def test_a_repair_harms_nothing_and_finishes_when_run_again(made: Site, depot: Depot) -> None:
    package = made.lock.packages[0].blob
    depot.store.path(package).unlink()

    def work(depot: Depot) -> Checked:
        return fsck(depot, [BlobFolder(bundle(made, 0))], silent)

    for killed in _killed(depot.path, work):
        checked = fsck(killed, (), silent)
        assert not checked.broken
        assert _bad(checked) <= {_weights(made).digest, package.digest}
        assert work(killed).ok
        assert fsck(killed, (), silent).findings == ()


def test_a_collection_leaves_a_depot_that_is_whole(made: Site, depot: Depot) -> None:
    for number in (1, 2):
        import_bundle(depot, bundle(made, number), made.allowed, silent)

    def work(depot: Depot) -> object:
        return collect(depot, 1, (), frozenset(), True, silent)

    for killed in _killed(depot.path, work):
        assert fsck(killed, (), silent).ok
        assert "demo:2026.11.0" in killed.releases()
        work(killed)
        assert collect(killed, 1, (), frozenset(), False, silent).blobs == ()
        assert list(killed.releases()) == ["demo:2026.11.0"]
        assert [path.name for path in (killed.path / "bundles").iterdir()] == [
            killed.releases()["demo:2026.11.0"].removeprefix("sha256:")
        ]
        assert fsck(killed, (), silent).ok
