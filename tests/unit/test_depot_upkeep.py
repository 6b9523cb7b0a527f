"""Garbage collection and checking of a depot, by real bundles; killed, and by two processes at once."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sealift.bundle.build import build
from sealift.depot.collecting import Garbage, collect, version_key
from sealift.depot.fsck import fsck
from sealift.depot.importing import import_bundle
from sealift.depot.repair import Folder
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.progress import silent
from sealift.release.locked import Blob
from tests.unit import samples
from tests.unit.samples import Site

# argv: depot, and how many names may be taken away before it kills itself
COLLECT = """
import os, signal, sys
from pathlib import Path
from sealift.depot.collecting import collect
from sealift.depot.store import Depot
unlink, left = Path.unlink, int(sys.argv[2])
def counted(path, missing_ok=False):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    unlink(path, missing_ok)
Path.unlink = counted
collect(Depot(Path(sys.argv[1])), 1, (), frozenset(), True, lambda *_: None)
"""
IMPORT = """
import sys
from pathlib import Path
from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot
depot, bundle, allowed = map(Path, sys.argv[1:])
import_bundle(Depot(depot), bundle, allowed, lambda *_: None)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Three releases, each with a package of its own, and bundles of them: v0, v1, v2."""
    folder = tmp_path_factory.mktemp("made")
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


@pytest.fixture
def depot(made: Site, tmp_path: Path) -> Depot:
    """A depot with all three."""
    depot = Depot(tmp_path / "depot")
    for number in range(3):
        import_bundle(depot, _bundle(made, number), made.allowed, silent)
    return depot


def _bundle(made: Site, number: int) -> Path:
    return made.sources.parent / f"v{number}"


def _blobs(depot: Depot) -> set[str]:
    return {path.name for path in depot.store.folder.iterdir()}


def _collect(
    depot: Depot,
    keep: int = 1,
    *named: str,
    in_use: frozenset[str] = frozenset(),
    apply: bool = True,
) -> Garbage:
    return collect(depot, keep, named, in_use, apply, silent)


def _assert_whole(depot: Depot) -> None:
    for digest in depot.releases().values():
        for blob, _ in depot.layout(digest).blobs().values():
            assert depot.store.has(blob)


def _weights(made: Site) -> Blob:
    return max(made.lock.models[samples.MODEL].layers, key=lambda blob: blob.size)


def _damage(depot: Depot, blob: Blob) -> None:
    path = depot.store.path(blob)
    content = path.read_bytes()
    path.unlink()  # the bundle has the same file
    path.write_bytes(b"\xff" + content[1:])


def test_versions_sort_as_people_read_them() -> None:
    versions = [
        "2026.9.0",
        "2026.11.0-rc1",
        "2026.11.0",
        "2026.11.0+site2",
        "2026.11.0.1",
        "2026.12~a",
        "2026.12",
    ]
    shuffled = versions[3:] + versions[:3]
    assert sorted(shuffled, key=version_key) == versions


def test_a_dry_run_shows_what_would_go_and_changes_nothing(depot: Depot) -> None:
    before = _blobs(depot)
    garbage = _collect(depot, apply=False)
    assert garbage.kept == ("demo:2026.11.0",)
    assert garbage.releases == ("demo:2026.10.0", "demo:2026.9.0")
    assert len(garbage.bundles) == 2
    assert garbage.size == sum(blob.size for blob in garbage.blobs) > 0
    assert _blobs(depot) == before
    assert len(depot.releases()) == 3


def test_what_no_kept_release_refers_to_goes(made: Site, depot: Depot) -> None:
    planned = _collect(depot, apply=False)
    before = _blobs(depot)
    assert _collect(depot) == planned
    assert before - _blobs(depot) == {blob.hex for blob in planned.blobs}
    assert _blobs(depot) == {path.name for path in (_bundle(made, 2) / "blobs" / "sha256").iterdir()}
    assert list(depot.releases()) == ["demo:2026.11.0"]
    assert [path.name for path in (depot.path / "bundles").iterdir()] == [
        depot.releases()["demo:2026.11.0"].removeprefix("sha256:")
    ]
    assert fsck(depot, (), silent).ok
    assert _collect(depot) == Garbage(("demo:2026.11.0",), (), (), ())


def test_the_last_two_stay(depot: Depot) -> None:
    assert _collect(depot, 2).releases == ("demo:2026.9.0",)
    _assert_whole(depot)


@pytest.mark.parametrize("by_digest", [False, True])
def test_a_named_release_stays_whatever_its_version(depot: Depot, by_digest: bool) -> None:
    digest = depot.releases()["demo:2026.9.0"]
    garbage = _collect(depot, 1, f"demo@{digest}" if by_digest else "demo:2026.9.0")
    assert garbage.releases == ("demo:2026.10.0",)
    _assert_whole(depot)


def test_what_hosts_run_stays(depot: Depot) -> None:
    running = depot.releases()["demo:2026.9.0"]
    elsewhere = f"sha256:{'7' * 64}"  # of another depot: nothing here can be kept for it
    garbage = _collect(depot, in_use=frozenset({running, elsewhere}))
    assert garbage.releases == ("demo:2026.10.0",)
    _assert_whole(depot)


def test_a_named_release_that_is_not_there_stops_it(depot: Depot) -> None:
    with pytest.raises(SealiftError, match=r"demo:2026\.1\.0: not in the depot"):
        _collect(depot, 1, "demo:2026.1.0")
    assert len(depot.releases()) == 3


def test_nothing_goes_while_what_stays_cannot_be_read(depot: Depot) -> None:
    before = _blobs(depot)
    manifest = depot.layout(depot.releases()["demo:2026.11.0"]).entries[0].descriptor.blob
    _damage(depot, manifest)
    with pytest.raises(SealiftError, match=f"{manifest.digest} is damaged"):
        _collect(depot)
    assert _blobs(depot) == before
    assert len(depot.releases()) == 3


def test_what_an_interrupted_import_left_goes(made: Site, depot: Depot, tmp_path: Path) -> None:
    stray = depot.store.put_bytes(b"copied by an import that never ended")
    assert stray in _collect(depot, 3).blobs
    assert not depot.store.has(stray)


def test_killed_at_any_moment_it_leaves_a_depot_that_is_whole(depot: Depot, tmp_path: Path) -> None:
    steps = 0
    for steps in range(100):
        killed = tmp_path / f"killed{steps}"
        shutil.copytree(depot.path, killed)
        ran = subprocess.run([sys.executable, "-c", COLLECT, str(killed), str(steps)], check=False)
        _assert_whole(Depot(killed))
        assert "demo:2026.11.0" in Depot(killed).releases()
        _collect(Depot(killed))
        assert _collect(Depot(killed)).blobs == ()
        assert list(Depot(killed).releases()) == ["demo:2026.11.0"]
        if ran.returncode == 0:
            break
        assert ran.returncode == -signal.SIGKILL
    assert steps > 5


def test_collecting_while_an_import_runs_harms_neither(made: Site, depot: Depot) -> None:
    _collect(depot)
    imports = [
        [sys.executable, "-c", IMPORT, str(depot.path), str(_bundle(made, n)), str(made.allowed)]
        for n in (0, 1)
    ]
    children = [subprocess.Popen(command) for command in imports]
    while any(child.poll() is None for child in children):
        _collect(depot, 3)
    assert [child.returncode for child in children] == [0, 0]
    assert len(depot.releases()) == 3
    _assert_whole(depot)
    assert fsck(depot, (), silent).ok


def test_a_whole_depot_is_found_whole(depot: Depot) -> None:
    checked = fsck(depot, (), silent)
    assert (checked.ok, checked.findings, checked.broken) == (True, (), ())
    assert checked.blobs == len(_blobs(depot))


def test_what_is_missing_or_damaged_is_named_with_what_it_belongs_to(made: Site, depot: Depot) -> None:
    _damage(depot, _weights(made))
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
    _damage(depot, _weights(made))
    depot.store.path(made.lock.images["gateway"].config).unlink()
    source = _bundle(made, 0) / below
    checked = fsck(depot, [Folder(source)], silent)
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
    checked = fsck(depot, [Folder(_bundle(made, 2))], silent)
    assert [finding.digest for finding in checked.findings] == [
        entry.descriptor.digest,
        entry.manifest.layers[1].digest,
    ]
    assert checked.ok


def test_a_source_that_is_damaged_too_is_passed_over(made: Site, depot: Depot, tmp_path: Path) -> None:
    weights = _weights(made)
    _damage(depot, weights)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / weights.hex).write_bytes(b"\0" * weights.size)
    (finding,) = fsck(depot, [Folder(tmp_path / "bad")], silent).findings
    assert (finding.repaired_from, len(finding.tried)) == ("", 1)
    assert f"{weights.digest} is damaged" in finding.tried[0]
    (finding,) = fsck(depot, [Folder(tmp_path / "bad"), Folder(_bundle(made, 1))], silent).findings
    assert finding.repaired_from == str(_bundle(made, 1))


def test_a_link_is_no_source(made: Site, depot: Depot, tmp_path: Path) -> None:
    weights = _weights(made)
    depot.store.path(weights).unlink()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / weights.hex).symlink_to(_bundle(made, 1) / "blobs" / "sha256" / weights.hex)
    (finding,) = fsck(depot, [Folder(tmp_path / "links")], silent).findings
    assert "is a link" in finding.tried[0]
    assert not depot.store.path(weights).exists()


def test_a_damaged_blob_of_no_release_is_named_as_such(depot: Depot) -> None:
    stray = depot.store.put_bytes(b"of nobody")
    _damage(depot, stray)
    (finding,) = fsck(depot, (), silent).findings
    assert (finding.digest, finding.owner) == (stray.digest, "no release")


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
    _damage(depot, blob)
    with pytest.raises(SealiftError, match=f"{blob.digest} is damaged. Copy or import the bundle again."):
        depot.resolve("demo:2026.11.0")
    assert import_bundle(depot, _bundle(made, 2), made.allowed, silent).copied == (blob,)
    assert fsck(depot, (), silent).ok


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
    import_bundle(depot, _bundle(made, 2), made.allowed, silent)
    assert fsck(depot, (), silent).ok


def test_importing_again_leaves_a_repository_that_is_right_alone(made: Site, depot: Depot) -> None:
    """Signed again, it would be a change on every host."""
    signed = depot.bundle(depot.releases()["demo:2026.11.0"]) / "repository/InRelease"
    before = signed.read_bytes(), signed.stat().st_mtime_ns
    import_bundle(depot, _bundle(made, 2), made.allowed, silent)
    assert (signed.read_bytes(), signed.stat().st_mtime_ns) == before


def test_there_is_no_depot(tmp_path: Path) -> None:
    for step in (lambda: fsck(Depot(tmp_path / "no"), (), silent), lambda: _collect(Depot(tmp_path / "no"))):
        with pytest.raises(SealiftError, match="no such depot"):
            step()
    assert list(tmp_path.iterdir()) == []
