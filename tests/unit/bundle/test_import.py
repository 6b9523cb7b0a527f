"""Importing a small bundle into a depot: again, on one disk, into a full one, two at once."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sealift.__main__ import main
from sealift.blobs import BlobStore
from sealift.bundle.build import build
from sealift.cli.importing import import_
from sealift.depot.needed import needed_blobs
from sealift.depot.store import Depot, sign_repository
from sealift.errors import SealiftError
from sealift.oci.layout import read_index
from sealift.progress import silent
from tests.unit import samples
from tests.unit.samples import Site
from tests.unit.small_bundle import import_small

IMPORT = """
import sys
from pathlib import Path
from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot
depot, bundle, allowed = map(Path, sys.argv[1:])
import_bundle(Depot(depot), bundle, allowed, lambda *_: None)
"""


def test_import_takes_everything_in_and_says_who_signed(site: Site, bundle: Path, tmp_path: Path) -> None:
    imported = import_small(site, bundle)
    depot = Depot(tmp_path / "depot")
    assert imported.signer == "release@example.org"
    assert depot.resolve("demo:2026.11.0") == imported.stored
    assert depot.resolve(f"demo@{imported.stored.digest}").lock == site.lock
    for blob in needed_blobs(site.lock, frozenset({"gpu"})):
        content = depot.blob_path(blob.digest).read_bytes()
        assert hashlib.sha256(content).hexdigest() == blob.hex


def test_importing_again_copies_nothing(site: Site, bundle: Path) -> None:
    first = import_small(site, bundle)
    again = import_small(site, bundle)
    assert len(first.copied) > 5
    assert (again.copied, again.replaced, again.stored) == ((), None, first.stored)


def test_another_build_of_a_version_takes_its_place_only_where_that_is_said(
    site: Site, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    depot = Depot(tmp_path / "depot")
    first = import_small(site, bundle).stored.digest
    packages = (*site.lock.packages, samples.package("one-more", b"one more"))
    (site.sources / "apt/one-more.deb").write_bytes(b"one more")
    other = tmp_path / "other"
    build(site.lock.model_copy(update={"packages": packages}), site.sources, other, site.key, silent)
    with pytest.raises(SealiftError) as refused:
        import_small(site, other)
    second = f"sha256:{hashlib.sha256(read_index(other)).hexdigest()}"
    assert f"demo:2026.11.0: is {first} in the depot, and this bundle is {second}: " in str(refused.value)
    assert "add --replace" in str(refused.value)
    assert depot.releases() == {"demo:2026.11.0": first}
    import_(other, depot.path, site.allowed, replace=True)
    assert f"this name and version stood for {first} before" in capsys.readouterr().out
    assert depot.releases() == {"demo:2026.11.0": second}
    assert import_small(site, other).replaced is None
    with pytest.raises(SealiftError, match="another build of that version, perhaps an older one"):
        import_small(site, bundle)


def test_an_import_on_one_disk_takes_no_room(site: Site, bundle: Path) -> None:
    depot = Depot(site.sources.parent / "depot")
    for blob in import_small(site, bundle).copied:
        assert depot.store.path(blob).samefile(BlobStore(bundle).path(blob))


def test_a_new_key_of_the_site_signs_at_the_next_import(site: Site, bundle: Path) -> None:
    first = import_small(site, bundle).stored
    depot = Depot(site.sources.parent / "depot")
    before = sign_repository(depot, first)
    assert sign_repository(depot, first) == before
    date = re.search(r"^Date: (.*) UTC$", before.inrelease.decode(), re.MULTILINE)
    assert date is not None
    signed = datetime.strptime(date[1], "%a, %d %b %Y %H:%M:%S").replace(tzinfo=UTC)
    assert signed < datetime.now(UTC) - timedelta(hours=1)  # a host's clock may be behind
    (depot.path / "apt-key.pgp").unlink()
    after = sign_repository(depot, import_small(site, bundle).stored)
    assert after.key != before.key
    assert after.inrelease != before.inrelease


def test_a_full_depot_is_told_and_the_import_goes_on_later(site: Site, bundle: Path, tmp_path: Path) -> None:
    for path in (bundle / "blobs" / "sha256").iterdir():
        path.chmod(0o644)  # as on most media: not to be shared, but copied
    # a limit on the size of files stands in for a full disk
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))"
    paths = [str(tmp_path / "depot"), str(bundle), str(site.allowed)]
    ran = subprocess.run(
        [sys.executable, "-c", f"{limit}\n{IMPORT}", *paths], capture_output=True, text=True, check=False
    )
    assert "SealiftError" in ran.stderr.splitlines()[-1]
    assert "cannot be written: File too large. Mend that and run it again." in ran.stderr
    assert Depot(tmp_path / "depot").releases() == {}
    assert import_small(site, bundle).stored.lock == site.lock


def test_a_folder_that_cannot_be_made_is_one_message(
    site: Site, bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--depot", "/proc/depot", "--allowed-signers", str(site.allowed)]
    monkeypatch.setattr(sys, "argv", ["sealift", "import", str(bundle), *options])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("/proc/depot: ")
    assert said[-1].endswith("Mend that and run the same command again.")


def test_two_imports_at_once_both_succeed(site: Site, bundle: Path, tmp_path: Path) -> None:
    paths = [str(tmp_path / "depot"), str(bundle), str(site.allowed)]
    both = [subprocess.Popen([sys.executable, "-c", IMPORT, *paths]) for _ in range(2)]
    assert [child.wait() for child in both] == [0, 0]
    assert Depot(tmp_path / "depot").resolve("demo:2026.11.0").lock == site.lock
