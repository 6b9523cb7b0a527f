"""What the last three tags wrote is read by the code of today: bundles, depots, hosts, statements."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.blobs import BlobStore
from sealift.bundle.have_list import read_signed
from sealift.depot.collecting import collect
from sealift.depot.fsck import fsck
from sealift.depot.importing import import_bundle
from sealift.depot.needed import needed_blobs
from sealift.depot.store import Depot, check_repository, read_key, read_lock
from sealift.evidence.record import read_evidence
from sealift.fleet.generations import parse_stands
from sealift.fleet.status import parse_status
from sealift.host.record import parse_record
from sealift.host.wanted import want
from sealift.oci.layout import read_index, read_layout
from sealift.progress import silent
from sealift.promotion.kept import find_statements
from sealift.promotion.statements import Approval, Override, Record
from sealift.release.locked import Lock
from sealift.release.lockfile import dump_lock, parse_lock
from sealift.release.roles import first_choices
from sealift.rollout.course import next_step
from sealift.rollout.journal import Journal
from sealift.sbom.summary import read_sbom, summarise
from tests.formats import make
from tests.unit.fleet_site import SITE_FILES, site_settings

ROOT = Path(__file__).parents[2]
TAGS = sorted(path.name.removesuffix(".tar.gz") for path in make.FOLDER.glob("v*.tar.gz"))


@pytest.fixture(scope="module", params=TAGS)
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the code of a tag left behind."""
    folder = tmp_path_factory.mktemp(request.param)
    subprocess.run(
        ["tar", "-xzf", str(make.FOLDER / f"{request.param}.tar.gz"), "-C", str(folder)], check=True
    )
    yield folder


def _lock(kept: Path) -> Lock:
    store = BlobStore(kept / "bundle")
    return read_lock(read_layout(read_index(kept / "bundle"), store), store)


def test_this_version_has_its_fixture_and_no_more_than_three_are_kept() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"v{project['version']}" in TAGS, "run: python -m tests.formats.make, and commit what it makes"
    assert len(TAGS) <= 3, "the oldest may go"


def test_a_bundle_is_inspected(kept: Path) -> None:
    store = BlobStore(kept / "bundle")
    layout = read_layout(read_index(kept / "bundle"), store)
    materials = read_sbom(layout, store)
    assert materials is not None and summarise(materials).components


def test_a_bundle_is_imported_and_is_whole(kept: Path, tmp_path: Path) -> None:
    depot = Depot(tmp_path / "depot")
    imported = import_bundle(depot, kept / "bundle", kept / "allowed_signers", silent)
    assert imported.signer == "release@example.org"
    assert fsck(depot, (), silent).ok
    for blob in needed_blobs(imported.stored.lock, make.GROUPS):
        assert depot.store.has(blob)


def test_a_lock_is_read_and_says_the_same(kept: Path) -> None:
    lock = _lock(kept)
    assert parse_lock(dump_lock(lock), "again") == lock
    assert lock.release.reference == "demo:2026.11.0"


def test_a_host_can_be_made_of_a_bundle(kept: Path) -> None:
    lock = _lock(kept)
    answers = first_choices(lock.release.roles_for(make.GROUPS))
    digest = f"sha256:{'a' * 64}"
    wanted = want("h1", make.GROUPS, site_settings(), lock, digest, answers, SITE_FILES)
    assert {"release.json", "record", "gateway/compose.yaml"} <= wanted.generation.files.keys()
    assert set(wanted.answers) == {"chat", "sum"}


def test_a_depot_is_taken_over(kept: Path, tmp_path: Path) -> None:
    shutil.copytree(kept / "depot", tmp_path / "depot")
    depot = Depot(tmp_path / "depot")
    depot.require()
    stored = depot.resolve("demo:2026.11.0")
    check_repository(depot, stored, read_key(depot))
    assert import_bundle(depot, kept / "bundle", kept / "allowed_signers", silent).copied == ()
    assert fsck(depot, (), silent).ok
    garbage = collect(depot, 1, (), frozenset(), apply=True, progress=silent)
    assert (garbage.releases, garbage.blobs) == ((), ())


def test_a_have_list_is_believed(kept: Path) -> None:
    assert read_signed(kept / "have.json", kept / "sites").releases.keys() == {"demo:2026.11.0"}


def test_a_host_is_taken_over(kept: Path) -> None:
    script = ROOT / "sealift/fleet/generations.sh"
    ran = subprocess.run(
        ["sh", str(script), str(kept / "host"), "stands"], capture_output=True, text=True, check=True
    )
    stands = parse_stands("h1", ran.stdout)
    assert stands.current is not None
    assert (stands.current.release, stands.current.restorable) == ("demo:2026.11.0", True)
    assert stands.back(stands.current.id) == stands.current
    record = parse_record("h1", (kept / "host/current/record").read_text())
    assert record.release == stands.current.release


def test_what_a_host_says_it_runs_is_understood(kept: Path) -> None:
    told = (kept / "host/current/release.json").read_text().replace("\n", "")
    standing = parse_status("h1", f"generation=0f72bc207137\nrelease={told}\nend=\n")
    assert (standing.release, set(standing.roles)) == ("demo:2026.11.0", {"chat", "sum"})


def test_a_journal_and_evidence_are_read(kept: Path) -> None:
    (folder,) = (kept / "rollouts").iterdir()
    journal = Journal(folder)
    assert journal.is_closed and next_step(journal.events) is None
    assert [event.kind for event in journal.events] == [
        *("opened", "began", "ended", "judged", "resumed", "closed"),
    ]
    (evidence,) = (kept / "evidence").glob("staging-*/evidence.json")
    assert {claim.outcome for claim in read_evidence(evidence).results} == {"passed"}


def test_records_approvals_and_overrides_are_believed(kept: Path) -> None:
    bundle = Depot(kept / "depot").resolve("demo:2026.11.0").digest
    found = find_statements(kept / "promotions", kept / "signers", bundle)
    assert found.passed_over == ()
    assert {type(each.statement) for each in found.signed} == {Record, Approval, Override}
