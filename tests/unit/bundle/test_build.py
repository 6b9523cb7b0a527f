"""Building a small bundle of real archives, again and again."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from sealift.blobs import BlobStore
from sealift.bundle.build import build
from sealift.errors import SealiftError
from sealift.oci.layout import read_index, read_layout
from sealift.progress import Progress, silent
from sealift.release.lockfile import dump_lock
from sealift.release.ollama_manifest import model_manifest
from sealift.sources.arrivals import Arrivals
from tests.unit import samples
from tests.unit.media_bundle import content
from tests.unit.samples import Site
from tests.unit.small_bundle import weights_of


def test_two_builds_of_one_lock_are_equal_byte_for_byte(site: Site, bundle: Path, tmp_path: Path) -> None:
    build(site.lock, site.sources, tmp_path / "again", site.key, silent)
    assert content(tmp_path / "again") == content(bundle)


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
    (tmp_path / "bundle/blobs/sha256" / weights_of(site)).unlink()
    build(site.lock, site.sources, tmp_path / "bundle", site.key, silent)
    assert opened[3:] == ["model.tar"]


def test_building_again_keeps_what_is_whole_and_removes_what_is_foreign(site: Site, bundle: Path) -> None:
    before = content(bundle)
    weights = bundle / "blobs" / "sha256" / weights_of(site)
    kept = weights.stat().st_ino
    (bundle / "blobs" / "sha256" / ("0" * 64)).write_bytes(b"not of this bundle")
    (bundle / "index.json.sig").unlink()
    build(site.lock, site.sources, bundle, site.key, silent)
    assert content(bundle) == before
    assert weights.stat().st_ino == kept


def test_a_build_never_clears_a_folder_that_is_no_bundle(site: Site) -> None:
    with pytest.raises(SealiftError, match="exists and is not a bundle"):
        build(site.lock, site.sources, site.sources, site.key, silent)


def test_a_build_never_clears_another_tools_layout(site: Site, bundle: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    copied = ("skopeo", "copy", "--quiet", f"oci:{bundle}:{samples.IMAGE}", f"oci:{theirs}:{samples.IMAGE}")
    subprocess.run(copied, check=True)
    before = content(theirs)
    with pytest.raises(SealiftError, match="exists and is not a bundle"):
        build(site.lock, site.sources, theirs, site.key, silent)
    assert content(theirs) == before
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


def test_a_package_that_rotted_in_the_cache_is_not_carried(site: Site, bundle: Path, tmp_path: Path) -> None:
    blob = site.lock.packages[0].blob
    _rot(BlobStore(tmp_path / "cache").path(blob))
    assert BlobStore(bundle).path(blob).read_bytes() == b"\xff package"  # one file, two names
    build(site.lock, site.sources, tmp_path / "other", site.key, silent)
    assert BlobStore(tmp_path / "other").path(blob).read_bytes() == b"a package"


def test_what_rotted_in_a_bundle_is_not_signed_again(site: Site, bundle: Path) -> None:
    before = content(bundle)
    for path in (bundle / "blobs" / "sha256").iterdir():
        _rot(path)
    assert build(site.lock, site.sources, bundle, site.key, silent).blobs == len(list(path.parent.iterdir()))
    assert content(bundle) == before


def _rot(path: Path) -> None:
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(b"\xff" + content[1:])
    path.chmod(0o444)


def test_a_model_travels_under_its_ollama_manifest(site: Site, bundle: Path) -> None:
    entry = read_layout(read_index(bundle), BlobStore(bundle)).entry(samples.MODEL)
    locked = site.lock.models[samples.MODEL]
    assert entry.descriptor.digest == locked.manifest.digest
    assert BlobStore(bundle).path(locked.manifest).read_bytes() == model_manifest(locked)


def test_the_lock_is_canonical(site: Site) -> None:
    text = dump_lock(site.lock).decode()
    assert text.endswith("}\n")
    assert text.index('"images"') < text.index('"models"') < text.index('"packages"')
    assert "Jörg" in text
