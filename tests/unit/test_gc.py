"""Garbage collection of a depot, by real bundles, and beside imports."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sealift.__main__ import main
from sealift.cli import importing
from sealift.depot import importing as depot_importing
from sealift.depot.collecting import Garbage, collect
from sealift.depot.fsck import fsck
from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.files import locked
from sealift.progress import silent
from sealift.promotion.kept import Signed
from sealift.promotion.making import override_of
from sealift.release.age import Excuse, version_key
from tests.unit import depot_releases
from tests.unit.depot_releases import blobs, bundle, damage
from tests.unit.samples import Site

IMPORT = """
import hashlib, sys
from pathlib import Path
from sealift.depot.importing import Excused, import_bundle
from sealift.depot.store import Depot
from sealift.release.age import Excuse
depot, bundle, allowed = map(Path, sys.argv[1:])
digest = hashlib.sha256((bundle / "index.json").read_bytes()).hexdigest()
excused = Excused("sha256:" + digest, frozenset({Excuse.OLDER}), lambda: None)
import_bundle(Depot(depot), bundle, allowed, lambda *_: None, override=excused)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return depot_releases.make(tmp_path_factory.mktemp("made"))


@pytest.fixture
def depot(made: Site, tmp_path: Path) -> Depot:
    return depot_releases.fill(made, tmp_path / "depot")


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
    before = blobs(depot)
    garbage = _collect(depot, apply=False)
    assert garbage.kept == ("demo:2026.11.0",)
    assert garbage.releases == ("demo:2026.10.0", "demo:2026.9.0")
    assert len(garbage.bundles) == 2
    assert garbage.size == sum(blob.size for blob in garbage.blobs) > 0
    assert blobs(depot) == before
    assert len(depot.releases()) == 3


def test_what_no_kept_release_refers_to_goes(made: Site, depot: Depot) -> None:
    planned = _collect(depot, apply=False)
    before = blobs(depot)
    assert _collect(depot) == planned
    assert before - blobs(depot) == {blob.hex for blob in planned.blobs}
    assert blobs(depot) == {path.name for path in (bundle(made, 2) / "blobs" / "sha256").iterdir()}
    assert list(depot.releases()) == ["demo:2026.11.0"]
    assert [path.name for path in (depot.path / "bundles").iterdir()] == [
        depot.releases()["demo:2026.11.0"].removeprefix("sha256:")
    ]
    assert fsck(depot, (), silent).ok
    assert _collect(depot) == Garbage(("demo:2026.11.0",), (), (), (), {})


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
    before = blobs(depot)
    manifest = depot.layout(depot.releases()["demo:2026.11.0"]).entries[0].descriptor.blob
    damage(depot, manifest)
    with pytest.raises(SealiftError, match=f"{manifest.digest} is damaged"):
        _collect(depot)
    assert blobs(depot) == before
    assert len(depot.releases()) == 3


def test_what_an_interrupted_import_left_goes(made: Site, depot: Depot, tmp_path: Path) -> None:
    stray = depot.store.put_bytes(b"copied by an import that never ended")
    assert stray in _collect(depot, 3).blobs
    assert not depot.store.has(stray)


def test_media_that_were_read_and_not_imported_go_unless_somebody_reads_them_now(depot: Depot) -> None:
    left, half, read = (depot.path / "incoming" / name for name in ("1" * 64, "." + "2" * 64, "3" * 64))
    own = depot.path / "incoming/of-the-site"
    for folder in (left, half, read, own):
        (folder / "partial").mkdir(parents=True)
        (folder / "partial/blob").write_bytes(b"half a blob")
    any_blob = next(depot.store.folder.iterdir())
    (left / "shared").hardlink_to(any_blob)
    with locked(read, pytest.fail):
        planned = _collect(depot, 3, apply=False)
        assert planned.incoming == {f"incoming/{folder.name}": 11 for folder in (half, left)}
        assert planned.size == 22
        assert left.exists() and half.exists()
        assert _collect(depot, 3) == planned
        assert sorted((depot.path / "incoming").iterdir()) == [read, own]
    assert (read / "partial/blob").exists() and any_blob.exists()
    assert list(_collect(depot, 3).incoming) == [f"incoming/{read.name}"]
    assert sorted((depot.path / "incoming").iterdir()) == [own]


def test_collecting_while_an_import_runs_harms_neither(made: Site, depot: Depot) -> None:
    _collect(depot)
    imports = [
        [sys.executable, "-c", IMPORT, str(depot.path), str(bundle(made, n)), str(made.allowed)]
        for n in (0, 1)
    ]
    children = [subprocess.Popen(command) for command in imports]
    while any(child.poll() is None for child in children):
        _collect(depot, 3)
    assert [child.returncode for child in children] == [0, 0]
    assert len(depot.releases()) == 3
    _assert_whole(depot)
    assert fsck(depot, (), silent).ok


def test_an_override_is_logged_before_the_bundle_is_in(
    made: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = Depot(tmp_path / "depot")
    import_bundle(depot, bundle(made, 2), made.allowed, silent)
    digest = f"sha256:{hashlib.sha256((bundle(made, 0) / 'index.json').read_bytes()).hexdigest()}"
    until = datetime.now(UTC) + timedelta(days=1)
    release = "demo:2026.9.0"
    said = override_of("prod", release, digest, [Excuse.OLDER], "so", 1, until - timedelta(days=1))
    signed = Signed(said, "anna", digest, tmp_path / "override")
    monkeypatch.setattr(importing, "read_override", lambda *_: (signed, said))
    monkeypatch.setattr(depot_importing, "sign_repository", _no_power)
    with pytest.raises(OSError, match="no power"):
        importing.import_(bundle(made, 0), depot.path, made.allowed, override=tmp_path / "override")
    (line,) = (tmp_path / "evidence/overrides.jsonl").read_text().splitlines()
    assert json.loads(line)["used_for"] == "import" and json.loads(line)["bundle"] == digest
    assert not depot.bundle(digest).exists()  # and nothing is let in a second time without being logged


def _no_power(*_: object) -> None:
    raise OSError("no power")


def _typed(depot: Depot, *options: str) -> int:
    """The exit code of `sealift gc` as it is typed."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(sys, "argv", ["sealift", "gc", "--depot", str(depot.path), "--keep", "1", *options])
        main()
    assert isinstance(end.value.code, int)
    return end.value.code


def test_nothing_goes_while_nobody_says_what_hosts_run(
    depot: Depot, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _typed(depot, "--apply") == 2
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "--inventory SITE for each inventory whose hosts use this depot" in said
    assert "or --no-inventory, if none does" in said
    assert len(depot.releases()) == 3
    assert _typed(depot, "--apply", "--inventory", "lab", "--no-inventory") == 2
    assert _typed(depot) == 0
    assert "with --apply and --inventory SITE for each inventory" in capsys.readouterr().out
    assert len(depot.releases()) == 3
    assert _typed(depot, "--apply", "--no-inventory") == 0
    assert len(depot.releases()) == 1


def test_there_is_no_depot(tmp_path: Path) -> None:
    with pytest.raises(SealiftError, match="is no depot"):
        _collect(Depot(tmp_path / "no"))
    assert list(tmp_path.iterdir()) == []
