"""One damaged small file of a depot: what diagnoses and heals goes on, and the rest says what to do."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sealift.cli.compare import diff
from sealift.depot import repository
from sealift.depot.collecting import collect
from sealift.depot.fsck import fsck
from sealift.depot.have import have_list
from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.progress import silent
from tests.unit import depot_releases
from tests.unit.depot_releases import blobs, bundle
from tests.unit.samples import Site

GARBAGE = {
    "nothing": b"",
    "no text": b"\xff\xfe" * 35,
    "another text": b"2026.11.0\n",
    "capitals": b"sha256:" + b"A" * 64,
    "a digest and more": b"sha256:" + b"a" * 64 + b"\nsha256:" + b"a" * 64,
    "zeros": bytes(72),
    "a large file": b"a" * 2_000_000,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return depot_releases.make(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def filled(made: Site, tmp_path_factory: pytest.TempPathFactory) -> Depot:
    return depot_releases.fill(made, tmp_path_factory.mktemp("filled") / "depot")


@pytest.fixture
def depot(filled: Depot, tmp_path: Path) -> Depot:
    shutil.copytree(filled.path, tmp_path / "depot")
    return Depot(tmp_path / "depot")


@pytest.mark.parametrize("what", GARBAGE)
def test_a_damaged_name_of_a_release_is_found_and_importing_again_heals_it(
    made: Site, depot: Depot, what: str
) -> None:
    path = depot.pointer("demo", "2026.10.0")
    path.write_bytes(GARBAGE[what])
    checked = fsck(depot, (), silent)
    assert not checked.ok and checked.findings == ()
    assert [line.partition(f": {path}: ")[0] for line in checked.broken] == ["demo:2026.10.0"]
    imported = import_bundle(depot, bundle(made, 1), made.allowed, silent)
    assert (imported.copied, imported.replaced) == ((), None)
    assert fsck(depot, (), silent).ok
    assert depot.resolve("demo:2026.10.0") == imported.stored


@pytest.mark.parametrize("what", GARBAGE)
def test_nothing_goes_while_a_name_cannot_be_read(depot: Depot, what: str) -> None:
    path = depot.pointer("demo", "2026.10.0")
    path.write_bytes(GARBAGE[what])
    before = blobs(depot)
    with pytest.raises(SealiftError, match=f"^{path}: .* Import its bundle again"):
        collect(depot, 1, (), frozenset(), True, silent)
    assert blobs(depot) == before
    assert len(list((depot.path / "bundles").iterdir())) == 3


@pytest.mark.parametrize("what", GARBAGE)
def test_who_needs_a_damaged_name_says_so_and_other_releases_stay_usable(depot: Depot, what: str) -> None:
    path = depot.pointer("demo", "2026.10.0")
    path.write_bytes(GARBAGE[what])
    told = f"^{path}: .* Import its bundle again"
    with pytest.raises(SealiftError, match=told):
        have_list(depot, "", silent)
    with pytest.raises(SealiftError, match=told):
        depot.resolve("demo:2026.10.0")
    with pytest.raises(SealiftError, match=told):
        diff("demo:2026.9.0", "demo:2026.10.0", depot.path)
    assert depot.resolve("demo:2026.9.0").lock.release.version == "2026.9.0"
    with pytest.raises(SealiftError, match=r"which has demo:2026\.10\.0, demo:2026\.11\.0, demo:2026\.9\.0"):
        depot.resolve("demo:1")


def _spoilt(key: bytes) -> list[bytes]:
    return [b"", bytes(len(key)), b"\xff" * len(key), b"a" * 2_000_000, key[: len(key) // 3]]


def test_a_damaged_key_is_named_once_with_what_to_do(made: Site, depot: Depot) -> None:
    path = depot.path / "apt-key.pgp"
    for content in _spoilt(path.read_bytes()):
        path.write_bytes(content)
        checked = fsck(depot, (), silent)
        assert not checked.ok
        (told,) = checked.broken
        assert told.startswith(f"{path}: ") and "a backup" in told and len(told) < 400
        with pytest.raises(SealiftError, match=f"^{path}: "):
            import_bundle(depot, bundle(made, 2), made.allowed, silent)
        assert path.read_bytes() == content  # whoever has a backup can still put it back


def test_a_lost_key_is_named_and_importing_all_again_makes_a_new_one(made: Site, depot: Depot) -> None:
    before = (depot.bundle(depot.releases()["demo:2026.9.0"]) / "repository/key.asc").read_bytes()
    path = depot.path / "apt-key.pgp"
    path.unlink()
    (told,) = fsck(depot, (), silent).broken
    assert told.startswith(f"{path}: not found")
    assert "import the bundle of every release again" in told
    for number in range(3):
        import_bundle(depot, bundle(made, number), made.allowed, silent)
    assert fsck(depot, (), silent).ok
    keys = {p.read_bytes() for p in depot.path.glob("bundles/*/repository/key.asc")}
    assert len(keys) == 1 and before not in keys


def test_a_damaged_key_signs_rightly_or_not_at_all(made: Site, tmp_path: Path) -> None:
    path = tmp_path / "apt-key.pgp"
    whole = bytes(repository.site_key(path))
    refused = 0
    for position in range(len(whole)):
        wrong = whole[position] ^ 1 << position % 8
        before, after = whole[:position], whole[position + 1 :]
        swapped = (
            before + after[:1] + whole[position : position + 1] + after[1:]
        )  # the checksum of secrets stays
        for content in (before, before + bytes([wrong]) + after, swapped):
            path.write_bytes(content)
            try:
                key = repository.read_key(path)
            except SealiftError as error:
                assert str(error).startswith(f"{path}: is damaged, expected the site's OpenPGP key. Put it")
                refused += 1
                continue
            signed = repository.sign(made.lock, key, datetime.now(UTC))
            assert repository.is_right(signed, made.lock, key)
    assert len(whole) < refused < 3 * len(whole)
