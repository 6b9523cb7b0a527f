"""Have-lists, deltas built for them, and what an import makes of both."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.bundle.build import BundleInfo, build
from sealift.bundle.have_list import NOTHING, HaveList, parse_have_list, read_signed, write_signed
from sealift.depot.have import have_list
from sealift.depot.importing import Imported, import_bundle
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.oci.layout import read_index, read_layout
from sealift.progress import silent
from sealift.release.locked import Lock
from tests.unit import samples
from tests.unit.samples import Site, lock_model

OTHER = "tiny:2m"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "cache"))
    return samples.site(tmp_path)


@pytest.fixture
def depot(site: Site, tmp_path: Path) -> Depot:
    """A depot that has the first release."""
    build(site.lock, site.sources, tmp_path / "full", site.key, silent)
    depot = Depot(tmp_path / "depot")
    import_bundle(depot, tmp_path / "full", site.allowed, silent)
    return depot


@pytest.fixture
def site_key(tmp_path: Path) -> Path:
    return samples.signing_key(tmp_path / "site_key")


@pytest.fixture
def sites(site_key: Path, tmp_path: Path) -> Path:
    """Whose have-lists the preparing side believes."""
    public = site_key.with_suffix(".pub").read_text().split()[:2]
    path = tmp_path / "sites"
    path.write_text(f'plant-7 namespaces="sealift-have" {" ".join(public)}\n')
    return path


@pytest.fixture
def upgrade(site: Site) -> Lock:
    """The next release: another model, everything else as it was."""
    weights = samples.gguf(samples.GEMMA) + bytes(2 << 20)
    samples.tar(site.sources / "other.tar", samples.ollama_files(weights))
    models = {samples.MODEL: {"archive": "other.tar"}}
    wanted = samples.release(version="2026.11.1", models=models)
    locked = {samples.MODEL: lock_model(samples.MODEL, wanted.models[samples.MODEL], site.sources)}
    return site.lock.model_copy(update={"release": wanted, "models": locked})


def _delta(site: Site, lock: Lock, have: HaveList, out: Path) -> BundleInfo:
    return build(lock, site.sources, out, site.key, silent, have)


def _import(site: Site, depot: Depot, bundle: Path) -> Imported:
    return import_bundle(depot, bundle, site.allowed, silent)


def _carried(bundle: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (bundle / "blobs" / "sha256").iterdir()}


def _damage(depot: Depot, blob: Blob) -> None:
    path = depot.store.path(blob)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")


def test_a_have_list_names_what_the_depot_has(depot: Depot) -> None:
    had = have_list(depot, "plant-7", silent)
    assert had.have.blobs == _carried(depot.path)
    assert had.have.releases == depot.releases()
    assert (had.have.site, had.damaged) == ("plant-7", ())


def test_a_damaged_blob_is_not_had(site: Site, depot: Depot) -> None:
    layer = site.lock.images["ollama"].layers[1]
    _damage(depot, layer)
    had = have_list(depot, "", silent)
    assert had.damaged == (layer.digest,)
    assert layer not in had.have
    assert site.lock.images["ollama"].layers[0] in had.have


def test_equal_depots_have_equal_signed_lists(
    depot: Depot, site_key: Path, sites: Path, tmp_path: Path
) -> None:
    for name in ("one.json", "two.json"):
        write_signed(have_list(depot, "plant-7", silent).have, tmp_path / name, site_key)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert read_signed(tmp_path / "one.json", sites) == have_list(depot, "plant-7", silent).have


def test_thousands_of_blobs_are_a_few_hundred_kilobytes(site_key: Path, sites: Path, tmp_path: Path) -> None:
    blobs = {f"{number:064x}": number * 1_000_003 for number in range(4000)}
    path = tmp_path / "have.json"
    assert write_signed(HaveList(releases={}, blobs=blobs), path, site_key) < 400_000
    assert len(read_signed(path, sites).blobs) == 4000


def test_every_altered_byte_of_a_have_list_is_refused(site_key: Path, sites: Path, tmp_path: Path) -> None:
    path = tmp_path / "have.json"
    size = write_signed(HaveList(site="plant-7", releases={}, blobs={"0" * 64: 1}), path, site_key)
    whole = path.read_bytes()
    for position in range(0, size, 10):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(SealiftError, match=r"have\.json: .*altered or damaged"):
            read_signed(path, sites)


def test_a_strangers_have_list_is_refused(depot: Depot, sites: Path, tmp_path: Path) -> None:
    stranger = samples.signing_key(tmp_path / "stranger")
    write_signed(NOTHING, tmp_path / "have.json", stranger)
    with pytest.raises(SealiftError, match=r"have\.json\.sig: .*nobody in .*sites made it"):
        read_signed(tmp_path / "have.json", sites)


def test_who_signs_have_lists_may_not_sign_bundles(
    site: Site, site_key: Path, sites: Path, tmp_path: Path
) -> None:
    build(site.lock, site.sources, tmp_path / "bundle", site_key, silent)
    with pytest.raises(SealiftError, match="does not allow them sealift"):
        import_bundle(Depot(tmp_path / "new"), tmp_path / "bundle", sites, silent)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"releases": {}}',
        b'{"releases": {}, "blobs": {"../../etc/passwd": 1}}',
        b'{"releases": {}, "blobs": {"%s": -1}}' % (b"0" * 64),
        b'{"releases": {}, "blobs": {"%s": "1"}}' % (b"0" * 64),
        b'{"releases": {}, "blobs": {}, "site": "\\u001b[2J"}',
        b'{"releases": {}, "blobs": {}, "more": 1}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_have_list_is_refused(content: bytes) -> None:
    with pytest.raises(SealiftError, match=r"^have\.json: "):
        parse_have_list(content, "have.json")


def test_a_delta_carries_what_changed_under_the_same_digest_and_signature(
    site: Site, depot: Depot, upgrade: Lock, tmp_path: Path
) -> None:
    have = have_list(depot, "", silent).have
    full = build(upgrade, site.sources, tmp_path / "upgrade", site.key, silent)
    info = _delta(site, upgrade, have, tmp_path / "delta")
    for name in ("index.json", "index.json.sig", "oci-layout"):
        assert (tmp_path / "delta" / name).read_bytes() == (tmp_path / "upgrade" / name).read_bytes()
    assert (info.digest, info.blobs, info.size) == (full.digest, full.blobs, full.size)
    whole, carried = _carried(tmp_path / "upgrade"), _carried(tmp_path / "delta")
    tables = read_layout(read_index(tmp_path / "delta"), BlobStore(tmp_path / "delta")).tables()
    assert carried.keys() == (whole.keys() - have.blobs.keys()) | {name[7:] for name in tables}
    assert (info.carried, info.carried_size) == (len(carried), sum(carried.values()))
    changed = sum(size for name, size in whole.items() if name not in have.blobs)
    assert info.carried_size <= 1.01 * changed


def test_importing_a_delta_is_importing_the_bundle(
    site: Site, depot: Depot, upgrade: Lock, tmp_path: Path
) -> None:
    info = _delta(site, upgrade, have_list(depot, "", silent).have, tmp_path / "delta")
    imported = _import(site, depot, tmp_path / "delta")
    assert imported.stored.digest == info.digest == depot.releases()["demo:2026.11.1"]
    assert imported.signer == "release@example.org"
    assert depot.resolve("demo:2026.11.1").lock == upgrade
    assert have_list(depot, "", silent).damaged == ()
    again = _import(site, depot, tmp_path / "delta")
    assert again.copied == ()


def test_a_delta_for_a_site_that_has_all_carries_tables_only(
    site: Site, depot: Depot, tmp_path: Path
) -> None:
    info = _delta(site, site.lock, have_list(depot, "", silent).have, tmp_path / "delta")
    assert info.carried < info.blobs
    assert info.carried_size < 10_000
    assert _import(site, depot, tmp_path / "delta").copied == ()


def test_a_second_build_for_the_same_have_list_writes_no_blob(
    site: Site, depot: Depot, upgrade: Lock, tmp_path: Path
) -> None:
    have = have_list(depot, "", silent).have
    first = _delta(site, upgrade, have, tmp_path / "delta")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "delta" / "blobs" / "sha256").iterdir()}
    started = time.monotonic()
    assert _delta(site, upgrade, have, tmp_path / "delta") == first
    assert time.monotonic() - started < 1
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "delta" / "blobs" / "sha256").iterdir()}
    assert after == before


def test_packages_that_a_delta_leaves_out_are_not_fetched_again(
    site: Site, depot: Depot, upgrade: Lock, tmp_path: Path
) -> None:
    (site.sources / "apt" / "hello.deb").unlink()
    shutil.rmtree(tmp_path / "cache" / "blobs")
    _delta(site, upgrade, have_list(depot, "", silent).have, tmp_path / "delta")


def test_sources_that_a_delta_leaves_out_are_not_read_again(
    site: Site, depot: Depot, upgrade: Lock, tmp_path: Path
) -> None:
    (site.sources / "ollama.tar").unlink()
    (site.sources / "gateway.tar").unlink()
    info = _delta(site, upgrade, have_list(depot, "", silent).have, tmp_path / "delta")
    assert _import(site, depot, tmp_path / "delta").stored.digest == info.digest


def test_a_delta_for_another_site_is_refused_with_what_is_missing(
    site: Site, depot: Depot, upgrade: Lock, tmp_path: Path
) -> None:
    _delta(site, upgrade, have_list(depot, "", silent).have, tmp_path / "delta")
    empty = Depot(tmp_path / "elsewhere")
    with pytest.raises(SealiftError) as refusal:
        _import(site, empty, tmp_path / "delta")
    message = str(refusal.value)
    missing = [blob for image in site.lock.images.values() for blob in (image.config, *image.layers)]
    for blob in (*missing, *(package.blob for package in site.lock.packages)):
        assert blob.digest in message
    assert f"  packages: hello.deb: {site.lock.packages[0].blob.digest} (9 bytes) is missing" in message
    assert "make a new one with sealift have" in message
    assert empty.releases() == {}
    assert not (empty.path / "bundles").exists()
    assert not empty.store.folder.exists()


def test_a_refusal_names_twenty_and_counts_the_rest(site: Site, tmp_path: Path) -> None:
    packages = tuple(samples.package(f"p{number}", b"%d" % number) for number in range(30))
    for number in range(30):
        (site.sources / "apt" / f"p{number}.deb").write_bytes(b"%d" % number)
    have = HaveList(releases={}, blobs={package.blob.hex: package.blob.size for package in packages})
    _delta(site, site.lock.model_copy(update={"packages": packages}), have, tmp_path / "delta")
    with pytest.raises(SealiftError) as refusal:
        _import(site, Depot(tmp_path / "elsewhere"), tmp_path / "delta")
    assert str(refusal.value).count("is missing") == 20
    assert "bundle: 30 of its" in str(refusal.value)
    assert "and 10 more" in str(refusal.value)


def test_what_a_delta_presumes_is_hashed_in_the_depot(
    site: Site, depot: Depot, upgrade: Lock, tmp_path: Path
) -> None:
    _delta(site, upgrade, have_list(depot, "", silent).have, tmp_path / "delta")
    layer = site.lock.images["gateway"].layers[1]
    _damage(depot, layer)
    with pytest.raises(SealiftError, match=f"{layer.digest} .* is missing"):
        _import(site, depot, tmp_path / "delta")
    assert "demo:2026.11.1" not in depot.releases()


def test_the_next_delta_mends_what_was_damaged(
    site: Site, depot: Depot, upgrade: Lock, tmp_path: Path
) -> None:
    layer = site.lock.images["gateway"].layers[1]
    _damage(depot, layer)
    _delta(site, upgrade, have_list(depot, "", silent).have, tmp_path / "delta")
    imported = _import(site, depot, tmp_path / "delta")
    assert layer in imported.copied
    assert have_list(depot, "", silent).damaged == ()


def test_a_lost_medium_is_recovered_by_a_new_have_list(
    site: Site, depot: Depot, upgrade: Lock, tmp_path: Path
) -> None:
    lost = _delta(site, upgrade, have_list(depot, "", silent).have, tmp_path / "lost")
    found = _delta(site, upgrade, have_list(depot, "", silent).have, tmp_path / "found")
    assert found == lost
    assert _import(site, depot, tmp_path / "found").stored.digest == lost.digest


def test_a_have_list_is_one_line_of_json(site_key: Path, tmp_path: Path) -> None:
    path = tmp_path / "have.json"
    write_signed(HaveList(site="plant-7", releases={}, blobs={"f" * 64: 2, "0" * 64: 1}), path, site_key)
    text = path.read_text()
    assert text.count("\n") == 1
    assert list(json.loads(text)["blobs"]) == ["0" * 64, "f" * 64]
