"""Build, verify and import a small bundle of real archives."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sealift.__main__ import main
from sealift.blobs import BlobStore
from sealift.bundle import signature
from sealift.bundle.build import build
from sealift.cli.importing import import_
from sealift.cli.inspect import inspect
from sealift.depot.importing import Imported, import_bundle
from sealift.depot.needed import needed_blobs
from sealift.depot.store import Depot, sign_repository
from sealift.errors import SealiftError
from sealift.oci.layout import REF_NAME, RELEASE_REF, read_index, read_layout
from sealift.progress import Progress, silent
from sealift.release.lockfile import dump_lock
from sealift.release.ollama_manifest import model_manifest
from sealift.sources.arrivals import Arrivals
from tests.unit import samples
from tests.unit.samples import Site

IMPORT = """
import sys
from pathlib import Path
from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot
depot, bundle, allowed = map(Path, sys.argv[1:])
import_bundle(Depot(depot), bundle, allowed, lambda *_: None)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "cache"))
    return samples.site(tmp_path)


@pytest.fixture
def bundle(site: Site, tmp_path: Path) -> Path:
    build(site.lock, site.sources, tmp_path / "bundle", site.key, silent)
    return tmp_path / "bundle"


def _content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _import(site: Site, bundle: Path) -> Imported:
    return import_bundle(Depot(site.sources.parent / "depot"), bundle, site.allowed, silent)


def _weights(site: Site) -> str:
    return max(site.lock.models[samples.MODEL].layers, key=lambda blob: blob.size).hex


def test_two_builds_of_one_lock_are_equal_byte_for_byte(site: Site, bundle: Path, tmp_path: Path) -> None:
    build(site.lock, site.sources, tmp_path / "again", site.key, silent)
    assert _content(tmp_path / "again") == _content(bundle)


def test_a_build_opens_each_source_once_and_only_where_something_is_missing(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def plain_tarball(arrivals: Arrivals, path: Path, progress: Progress, *, pins: bool) -> Path:
        opened.append(path.name)
        return original(arrivals, path, progress, pins=pins)

    original = Arrivals.plain_tarball
    monkeypatch.setattr(Arrivals, "plain_tarball", plain_tarball)
    build(site.lock, site.sources, tmp_path / "bundle", site.key, silent)
    assert sorted(opened) == ["gateway.tar", "model.tar", "ollama.tar"]
    build(site.lock, site.sources, tmp_path / "bundle", site.key, silent)
    assert len(opened) == 3
    (tmp_path / "bundle/blobs/sha256" / _weights(site)).unlink()
    build(site.lock, site.sources, tmp_path / "bundle", site.key, silent)
    assert opened[3:] == ["model.tar"]


def test_building_again_keeps_what_is_whole_and_removes_what_is_foreign(site: Site, bundle: Path) -> None:
    before = _content(bundle)
    weights = bundle / "blobs" / "sha256" / _weights(site)
    kept = weights.stat().st_ino
    (bundle / "blobs" / "sha256" / ("0" * 64)).write_bytes(b"not of this bundle")
    (bundle / "index.json.sig").unlink()
    build(site.lock, site.sources, bundle, site.key, silent)
    assert _content(bundle) == before
    assert weights.stat().st_ino == kept


def test_a_build_never_clears_a_folder_that_is_no_bundle(site: Site) -> None:
    with pytest.raises(SealiftError, match="exists and is not a bundle"):
        build(site.lock, site.sources, site.sources, site.key, silent)


def test_a_build_never_clears_another_tools_layout(site: Site, bundle: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    copied = ("skopeo", "copy", "--quiet", f"oci:{bundle}:{samples.IMAGE}", f"oci:{theirs}:{samples.IMAGE}")
    subprocess.run(copied, check=True)
    before = _content(theirs)
    with pytest.raises(SealiftError, match="exists and is not a bundle"):
        build(site.lock, site.sources, theirs, site.key, silent)
    assert _content(theirs) == before
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("somebody's")
    with pytest.raises(SealiftError, match="exists and is not a bundle"):
        build(site.lock, site.sources, tmp_path / "site", site.key, silent)


def test_a_source_that_changed_after_the_lock_is_refused(site: Site, tmp_path: Path) -> None:
    (site.sources / "apt" / "hello.deb").write_bytes(b"A package")
    with pytest.raises(SealiftError, match=r"packages: hello: sha256:\w+ is damaged"):
        build(site.lock, site.sources, tmp_path / "bundle", site.key, silent)
    assert not (tmp_path / "bundle" / "index.json").exists()


def test_skopeo_reads_and_copies_an_image(site: Site, bundle: Path, tmp_path: Path) -> None:
    where = f"oci:{bundle}:{samples.IMAGE}"
    raw = subprocess.run(["skopeo", "inspect", "--config", "--raw", where], capture_output=True, check=True)
    assert f"sha256:{hashlib.sha256(raw.stdout).hexdigest()}" == site.lock.images["ollama"].image_id
    copy = tmp_path / "copy.tar"
    subprocess.run(["skopeo", "copy", "-q", where, f"docker-archive:{copy}:{samples.IMAGE}"], check=True)
    assert copy.stat().st_size > 600_000


def test_import_takes_everything_in_and_says_who_signed(site: Site, bundle: Path, tmp_path: Path) -> None:
    imported = _import(site, bundle)
    depot = Depot(tmp_path / "depot")
    assert imported.signer == "release@example.org"
    assert depot.resolve("demo:2026.11.0") == imported.stored
    assert depot.resolve(f"demo@{imported.stored.digest}").lock == site.lock
    for blob in needed_blobs(site.lock, frozenset({"gpu"})):
        content = depot.blob_path(blob.digest).read_bytes()
        assert hashlib.sha256(content).hexdigest() == blob.hex


def test_importing_again_copies_nothing(site: Site, bundle: Path) -> None:
    first = _import(site, bundle)
    again = _import(site, bundle)
    assert len(first.copied) > 5
    assert (again.copied, again.replaced, again.stored) == ((), None, first.stored)


def test_another_build_of_a_version_takes_its_place_only_where_that_is_said(
    site: Site, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    depot = Depot(tmp_path / "depot")
    first = _import(site, bundle).stored.digest
    packages = (*site.lock.packages, samples.package("one-more", b"one more"))
    (site.sources / "apt/one-more.deb").write_bytes(b"one more")
    other = tmp_path / "other"
    build(site.lock.model_copy(update={"packages": packages}), site.sources, other, site.key, silent)
    with pytest.raises(SealiftError) as refused:
        _import(site, other)
    second = f"sha256:{hashlib.sha256(read_index(other)).hexdigest()}"
    assert f"demo:2026.11.0: is {first} in the depot, and this bundle is {second}: " in str(refused.value)
    assert "add --replace" in str(refused.value)
    assert depot.releases() == {"demo:2026.11.0": first}
    import_(other, depot.path, site.allowed, replace=True)
    assert f"this name and version stood for {first} before" in capsys.readouterr().out
    assert depot.releases() == {"demo:2026.11.0": second}
    assert _import(site, other).replaced is None
    with pytest.raises(SealiftError, match="another build of that version, perhaps an older one"):
        _import(site, bundle)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def _truncate(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size - 1)


def _lengthen(path: Path) -> None:
    path.chmod(0o644)
    with path.open("ab") as file:
        file.write(b"x")


def _swap_for_link(path: Path) -> None:
    shutil.copy(path, path.parents[3] / "elsewhere")
    path.unlink()
    path.symlink_to(path.parents[3] / "elsewhere")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_flip, "is damaged"),
        (_truncate, "bytes, expected"),
        (_lengthen, "bytes, expected"),
        (Path.unlink, "is missing"),
        (_swap_for_link, "is a link"),
    ],
)
def test_a_bad_blob_is_named_and_nothing_is_registered(
    site: Site, bundle: Path, damage: object, message: str
) -> None:
    assert callable(damage)
    damage(bundle / "blobs" / "sha256" / _weights(site))
    with pytest.raises(SealiftError, match=message) as refusal:
        _import(site, bundle)
    assert _weights(site) in str(refusal.value)
    depot = Depot(site.sources.parent / "depot")
    assert depot.releases() == {}
    assert not depot.store.path(site.lock.models[samples.MODEL].layers[0]).exists()


def test_flipped_bytes_of_the_index_are_refused(site: Site, bundle: Path) -> None:
    whole = (bundle / "index.json").read_bytes()
    for position in range(0, len(whole), len(whole) // 12):
        (bundle / "index.json").write_bytes(whole[:position] + b"\x01" + whole[position + 1 :])
        with pytest.raises(SealiftError, match="altered or damaged"):
            _import(site, bundle)


def test_a_damaged_manifest_is_refused_before_anything_is_copied(site: Site, bundle: Path) -> None:
    index = read_index(bundle)
    for entry in read_layout(index, BlobStore(bundle)).entries:
        path = BlobStore(bundle).path(entry.descriptor.blob)
        whole = path.read_bytes()
        _flip(path)
        with pytest.raises(SealiftError, match=f"{entry.descriptor.digest} is damaged"):
            _import(site, bundle)
        path.write_bytes(whole)
    assert not (site.sources.parent / "depot").exists()


def test_a_bundle_without_signature_is_refused(site: Site, bundle: Path) -> None:
    (bundle / "index.json.sig").unlink()
    with pytest.raises(SealiftError, match="expected the bundle's signature"):
        _import(site, bundle)


def test_a_bundle_signed_by_a_stranger_is_refused(site: Site, bundle: Path, tmp_path: Path) -> None:
    build(site.lock, site.sources, bundle, samples.signing_key(tmp_path / "stranger"), silent)
    with pytest.raises(SealiftError, match=r"nobody in .*allowed_signers made it"):
        _import(site, bundle)


def test_a_signer_allowed_for_something_else_is_refused(site: Site, bundle: Path) -> None:
    site.allowed.write_text(site.allowed.read_text().replace('"sealift"', '"git"'))
    with pytest.raises(SealiftError, match=r"^index\.json.*: "):
        _import(site, bundle)


def _sign_altered(site: Site, bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """What a builder with a key could sign: a good bundle with another index."""
    index = json.loads(read_index(bundle))
    change(index)
    content = json.dumps(index).encode()
    (bundle / "index.json").write_bytes(content)
    (bundle / "index.json.sig").write_bytes(signature.sign(content, site.key))


def _entry(index: dict[str, Any], ref: str) -> dict[str, Any]:
    found: dict[str, Any] = next(e for e in index["manifests"] if e["annotations"][REF_NAME] == ref)
    return found


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        (samples.IMAGE, f"{samples.IMAGE} is another image than its lock says"),
        (samples.MODEL, f"{samples.MODEL} is another model than its lock says"),
        ("packages", "its packages are others than its lock says"),
    ],
)
def test_a_bundle_that_shows_another_thing_than_its_lock_names_is_refused(
    site: Site, bundle: Path, ref: str, told: str
) -> None:
    def swap(index: dict[str, Any]) -> None:
        shown, other = _entry(index, ref), _entry(index, samples.GATEWAY)
        index["manifests"].append({**shown, "annotations": {REF_NAME: "hidden"}})  # its blobs are carried
        shown.update({key: other[key] for key in ("digest", "size", "mediaType")})

    _sign_altered(site, bundle, swap)
    with pytest.raises(SealiftError, match=f"^bundle: {told}"):
        _import(site, bundle)


def test_a_name_that_stands_twice_is_refused(site: Site, bundle: Path) -> None:
    _sign_altered(site, bundle, lambda index: index["manifests"].append(index["manifests"][0]))
    with pytest.raises(SealiftError, match=r"index\.json: has two entries named"):
        _import(site, bundle)


def test_a_lock_with_another_size_than_the_bundle_is_refused(site: Site, bundle: Path) -> None:
    document = json.loads(dump_lock(site.lock))
    document["packages"][0]["blob"]["size"] += 1
    store = BlobStore(bundle)
    lock = store.put_bytes(json.dumps(document).encode())

    def swap(index: dict[str, Any]) -> None:
        entry = _entry(index, RELEASE_REF)
        manifest = json.loads((store.folder / entry["digest"].removeprefix("sha256:")).read_bytes())
        manifest["config"].update(digest=lock.digest, size=lock.size)
        entry.update(store.put_bytes(json.dumps(manifest).encode()).model_dump())

    _sign_altered(site, bundle, swap)
    with pytest.raises(SealiftError, match=r"lacks 1 blobs .* of 10 bytes"):
        _import(site, bundle)


def test_a_package_that_rotted_in_the_cache_is_not_carried(site: Site, bundle: Path, tmp_path: Path) -> None:
    blob = site.lock.packages[0].blob
    _rot(BlobStore(tmp_path / "cache").path(blob))
    assert BlobStore(bundle).path(blob).read_bytes() == b"\xff package"  # one file, two names
    build(site.lock, site.sources, tmp_path / "other", site.key, silent)
    assert BlobStore(tmp_path / "other").path(blob).read_bytes() == b"a package"


def test_what_rotted_in_a_bundle_is_not_signed_again(site: Site, bundle: Path) -> None:
    before = _content(bundle)
    for path in (bundle / "blobs" / "sha256").iterdir():
        _rot(path)
    assert build(site.lock, site.sources, bundle, site.key, silent).blobs == len(list(path.parent.iterdir()))
    assert _content(bundle) == before


def _rot(path: Path) -> None:
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(b"\xff" + content[1:])
    path.chmod(0o444)


def test_an_import_on_one_disk_takes_no_room(site: Site, bundle: Path) -> None:
    depot = Depot(site.sources.parent / "depot")
    for blob in _import(site, bundle).copied:
        assert depot.store.path(blob).samefile(BlobStore(bundle).path(blob))


def test_a_new_key_of_the_site_signs_at_the_next_import(site: Site, bundle: Path) -> None:
    first = _import(site, bundle).stored
    depot = Depot(site.sources.parent / "depot")
    before = sign_repository(depot, first)
    assert sign_repository(depot, first) == before
    date = re.search(r"^Date: (.*) UTC$", before.inrelease.decode(), re.MULTILINE)
    assert date is not None
    signed = datetime.strptime(date[1], "%a, %d %b %Y %H:%M:%S").replace(tzinfo=UTC)
    assert signed < datetime.now(UTC) - timedelta(hours=1)  # a host's clock may be behind
    (depot.path / "apt-key.pgp").unlink()
    after = sign_repository(depot, _import(site, bundle).stored)
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
    assert _import(site, bundle).stored.lock == site.lock


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


def test_inspecting_shows_a_hostile_name_and_obeys_it_not(
    site: Site, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(index: dict[str, Any]) -> None:
        _entry(index, samples.IMAGE)["annotations"][REF_NAME] = "[/x]\x1b[2J"

    _sign_altered(site, bundle, spoil)
    inspect(bundle)
    shown = capsys.readouterr().out
    assert "[/x]?[2J" in shown
    assert "\x1b[2J" not in shown


def test_a_model_travels_under_its_ollama_manifest(site: Site, bundle: Path) -> None:
    entry = read_layout(read_index(bundle), BlobStore(bundle)).entry(samples.MODEL)
    locked = site.lock.models[samples.MODEL]
    assert entry.descriptor.digest == locked.manifest.digest
    assert BlobStore(bundle).path(locked.manifest).read_bytes() == model_manifest(locked)


def test_two_imports_at_once_both_succeed(site: Site, bundle: Path, tmp_path: Path) -> None:
    paths = [str(tmp_path / "depot"), str(bundle), str(site.allowed)]
    both = [subprocess.Popen([sys.executable, "-c", IMPORT, *paths]) for _ in range(2)]
    assert [child.wait() for child in both] == [0, 0]
    assert Depot(tmp_path / "depot").resolve("demo:2026.11.0").lock == site.lock


def test_the_lock_is_canonical(site: Site) -> None:
    text = dump_lock(site.lock).decode()
    assert text.endswith("}\n")
    assert text.index('"images"') < text.index('"models"') < text.index('"packages"')
    assert "Jörg" in text
