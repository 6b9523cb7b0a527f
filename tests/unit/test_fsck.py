"""Checking and repairing a depot, by real bundles, and what importing again heals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from sealift.blob import Blob
from sealift.cli.depot import fsck as fsck_command
from sealift.cli.importing import import_
from sealift.depot.fsck import fsck
from sealift.depot.importing import import_bundle
from sealift.depot.repair import BlobFolder
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.progress import silent
from tests.unit import depot_releases, samples
from tests.unit.depot_releases import blobs, bundle, damage
from tests.unit.samples import Site


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return depot_releases.make(tmp_path_factory.mktemp("made"))


@pytest.fixture
def depot(made: Site, tmp_path: Path) -> Depot:
    return depot_releases.fill(made, tmp_path / "depot")


def _weights(made: Site) -> Blob:
    return max(made.lock.models[samples.MODEL].layers, key=lambda blob: blob.size)


def test_a_whole_depot_is_found_whole(depot: Depot) -> None:
    checked = fsck(depot, (), silent)
    assert (checked.ok, checked.findings, checked.broken) == (True, (), ())
    assert checked.blobs == len(blobs(depot))


def test_what_is_missing_or_damaged_is_named_with_what_it_belongs_to(made: Site, depot: Depot) -> None:
    damage(depot, _weights(made))
    package = made.lock.packages[0].blob
    depot.store.path(package).unlink()
    checked = fsck(depot, (), silent)
    found = {finding.digest: (finding.wrong, finding.owner) for finding in checked.findings}
    assert found == {
        _weights(made).digest: ("damaged", "demo:2026.10.0: tiny:1m"),
        package.digest: ("missing", "demo:2026.10.0: packages: hello.deb"),
    }
    assert not checked.ok


@pytest.mark.parametrize("below", ["", "blobs", "blobs/sha256"])
def test_it_repairs_from_a_bundle_or_a_folder_of_blobs(made: Site, depot: Depot, below: str) -> None:
    damage(depot, _weights(made))
    depot.store.path(made.lock.images["gateway"].config).unlink()
    source = bundle(made, 0) / below
    checked = fsck(depot, [BlobFolder(source)], silent)
    assert {finding.repaired_from for finding in checked.findings} == {str(source)}
    assert (len(checked.findings), checked.ok) == (2, True)
    assert fsck(depot, (), silent).findings == ()


def test_a_lost_manifest_is_repaired_and_what_it_names_is_checked(made: Site, depot: Depot) -> None:
    layout = depot.layout(depot.releases()["demo:2026.11.0"])
    entry = layout.entry(samples.IMAGE)
    depot.store.path(entry.descriptor.blob).unlink()
    depot.store.path(entry.manifest.layers[1].blob).unlink()
    alone = fsck(depot, (), silent)
    assert [finding.digest for finding in alone.findings] == [entry.descriptor.digest]
    checked = fsck(depot, [BlobFolder(bundle(made, 2))], silent)
    assert [finding.digest for finding in checked.findings] == [
        entry.descriptor.digest,
        entry.manifest.layers[1].digest,
    ]
    assert checked.ok


def test_a_source_that_is_damaged_too_is_passed_over(made: Site, depot: Depot, tmp_path: Path) -> None:
    weights = _weights(made)
    damage(depot, weights)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / weights.hex).write_bytes(b"\0" * weights.size)
    (finding,) = fsck(depot, [BlobFolder(tmp_path / "bad")], silent).findings
    assert (finding.repaired_from, len(finding.tried)) == ("", 1)
    assert f"{weights.digest} is damaged" in finding.tried[0]
    (finding,) = fsck(depot, [BlobFolder(tmp_path / "bad"), BlobFolder(bundle(made, 1))], silent).findings
    assert finding.repaired_from == str(bundle(made, 1))


def test_a_link_is_no_source(made: Site, depot: Depot, tmp_path: Path) -> None:
    weights = _weights(made)
    depot.store.path(weights).unlink()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / weights.hex).symlink_to(bundle(made, 1) / "blobs" / "sha256" / weights.hex)
    (finding,) = fsck(depot, [BlobFolder(tmp_path / "links")], silent).findings
    assert "is a link" in finding.tried[0]
    assert not depot.store.path(weights).exists()


def test_a_damaged_blob_of_no_release_is_named_as_such(depot: Depot) -> None:
    stray = depot.store.put_bytes(b"of nobody")
    damage(depot, stray)
    checked = fsck(depot, (), silent)
    (finding,) = checked.findings
    assert (finding.digest, finding.owner, checked.ok) == (stray.digest, "no release", True)


def test_a_damaged_blob_of_no_release_is_for_gc_and_no_reason_for_a_delta(
    made: Site, depot: Depot, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(depot, depot.store.put_bytes(b"of nobody"))
    fsck_command(depot.path)
    said = capsys.readouterr().out
    assert ": whole\n1 of no release: sealift gc removes what no release needs" in said
    assert "delta" not in said and "--repair-from" not in said
    depot.store.path(_weights(made)).unlink()
    with pytest.raises(typer.Exit):
        fsck_command(depot.path)
    said = capsys.readouterr().out
    assert ": NOT whole\n1 to repair: name a bundle" in said and "sealift gc" not in said


@pytest.mark.parametrize("gone", [False, True])
def test_an_altered_or_lost_index_is_named(depot: Depot, gone: bool) -> None:
    path = depot.bundle(depot.releases()["demo:2026.9.0"]) / "index.json"
    if gone:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")
    checked = fsck(depot, (), silent)
    assert not checked.ok
    assert "demo:2026.9.0: " in checked.broken[0]
    assert "Import its bundle again." in checked.broken[0]


@pytest.mark.parametrize("table", ["manifest", "lock"])
def test_importing_again_heals_a_damaged_manifest_or_lock(made: Site, depot: Depot, table: str) -> None:
    release = depot.layout(depot.releases()["demo:2026.11.0"]).entry("release")
    blob = release.descriptor.blob if table == "manifest" else release.manifest.config.blob
    damage(depot, blob)
    with pytest.raises(SealiftError, match=f"{blob.digest} is damaged. Copy or import the bundle again."):
        depot.resolve("demo:2026.11.0")
    assert import_bundle(depot, bundle(made, 2), made.allowed, silent).copied == (blob,)
    assert fsck(depot, (), silent).ok


def _truncate(depot: Depot, blob: Blob) -> None:
    content = depot.store.path(blob).read_bytes()
    depot.store.path(blob).unlink()  # the bundle has the same file
    depot.store.path(blob).write_bytes(content[:-1])


@pytest.mark.parametrize("harm", [damage, _truncate])
def test_the_next_whole_bundle_heals_what_was_damaged_of_an_earlier_one(
    made: Site, tmp_path: Path, harm: Callable[[Depot, Blob], None], capsys: pytest.CaptureFixture[str]
) -> None:
    depot, weights, package = Depot(tmp_path / "depot"), _weights(made), made.lock.packages[0].blob
    import_bundle(depot, bundle(made, 0), made.allowed, silent)
    harm(depot, weights)
    depot.store.path(package).unlink()
    import_(bundle(made, 1), depot.path, made.allowed, as_json=True)
    assert json.loads(capsys.readouterr().out)["healed"] == [weights.digest]
    assert fsck(depot, (), silent).ok
    harm(depot, weights)
    import_(bundle(made, 1), depot.path, made.allowed)
    assert f"damaged in the depot, so taken from the bundle: {weights.digest}" in capsys.readouterr().out
    import_(bundle(made, 1), depot.path, made.allowed)
    assert "has all of it already, and every hash is right" in capsys.readouterr().out


def test_a_whole_bundle_that_has_it_damaged_too_is_refused(made: Site, tmp_path: Path) -> None:
    depot, weights = Depot(tmp_path / "depot"), _weights(made)
    import_bundle(depot, bundle(made, 0), made.allowed, silent)
    shutil.copytree(bundle(made, 1), tmp_path / "carried")
    damage(depot, weights)
    carried = tmp_path / "carried/blobs/sha256" / weights.hex
    carried.chmod(0o644)
    carried.write_bytes(depot.store.path(weights).read_bytes())
    with pytest.raises(SealiftError, match=f"tiny:1m: {weights.digest} is damaged"):
        import_bundle(depot, tmp_path / "carried", made.allowed, silent)
    carried.unlink()
    with pytest.raises(SealiftError, match=f"tiny:1m: {weights.digest} .* is missing"):
        import_bundle(depot, tmp_path / "carried", made.allowed, silent)
    assert list(depot.releases()) == ["demo:2026.9.0"]


def test_an_import_shows_how_far_its_hashing_of_the_depot_is(made: Site, depot: Depot) -> None:
    seen: dict[str, tuple[int, int]] = {}
    import_bundle(
        depot, bundle(made, 2), made.allowed, lambda what, done, total: seen.update({what: (done, total)})
    )
    size = sum(blob.size for blob, _ in depot.layout(depot.releases()["demo:2026.11.0"]).blobs().values())
    assert seen["hashing what the depot has of it"] == (size, size)


@pytest.mark.parametrize("name", ["Packages", "InRelease", "key.asc"])
@pytest.mark.parametrize("gone", [False, True])
def test_an_altered_or_lost_apt_repository_is_named_and_importing_again_heals_it(
    made: Site, depot: Depot, name: str, gone: bool
) -> None:
    repository = depot.bundle(depot.releases()["demo:2026.11.0"]) / "repository"
    whole = (repository / name).read_bytes()
    if gone:
        (repository / name).unlink()
    else:
        middle = len(whole) // 2
        (repository / name).write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    checked = fsck(depot, (), silent)
    assert not checked.ok
    assert checked.broken[0].startswith(f"demo:2026.11.0: {repository}")
    assert checked.broken[0].endswith("Import the bundle again.")
    import_bundle(depot, bundle(made, 2), made.allowed, silent)
    assert fsck(depot, (), silent).ok


def test_importing_again_leaves_a_repository_that_is_right_alone(made: Site, depot: Depot) -> None:
    """Signed again, it would be a change on every host."""
    signed = depot.bundle(depot.releases()["demo:2026.11.0"]) / "repository/InRelease"
    before = signed.read_bytes(), signed.stat().st_mtime_ns
    import_bundle(depot, bundle(made, 2), made.allowed, silent)
    assert (signed.read_bytes(), signed.stat().st_mtime_ns) == before


def test_there_is_no_depot(tmp_path: Path) -> None:
    with pytest.raises(SealiftError, match="is no depot"):
        fsck(Depot(tmp_path / "no"), (), silent)
    assert list(tmp_path.iterdir()) == []
