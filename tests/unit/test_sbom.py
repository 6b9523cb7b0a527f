"""The SBOM of a bundle: valid by CycloneDX's own schema, the same on every machine, and never hostile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sealift.blobs import BlobStore
from sealift.bundle.build import BundleInfo, build
from sealift.bundle.have_list import HaveList
from sealift.oci.layout import read_index, read_layout
from sealift.progress import silent
from tests.unit import samples
from tests.unit.samples import Site
from tests.unit.sboms import DISTRIBUTION, assert_valid, deb, licences, of_kind, sbom_of


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose package is a real one, and whose images have a distribution below."""
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "cache"))
    site = samples.site(tmp_path, base=DISTRIBUTION)
    hello = deb(tmp_path / "deb", "hello")
    (site.sources / "apt/hello.deb").write_bytes(hello)
    lock = site.lock.model_copy(update={"packages": (samples.package("hello", hello),)})
    return Site(lock, site.sources, site.key, site.allowed)


def _build(site: Site, out: Path, **more: Any) -> BundleInfo:
    return build(site.lock, site.sources, out, site.key, silent, **more)


def test_an_sbom_is_valid_by_the_official_schema(site: Site, tmp_path: Path) -> None:
    _build(site, tmp_path / "bundle")
    assert_valid(sbom_of(tmp_path / "bundle"))


def test_the_validator_refuses_what_is_wrong(site: Site, tmp_path: Path) -> None:
    _build(site, tmp_path / "bundle")
    wrong = sbom_of(tmp_path / "bundle").replace('"machine-learning-model"', '"model"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(wrong) is not None


def test_a_package_has_its_digest_and_the_licences_that_it_declares(site: Site, tmp_path: Path) -> None:
    _build(site, tmp_path / "bundle")
    hello = json.loads(sbom_of(tmp_path / "bundle"))["components"][0]
    assert hello["purl"] == "pkg:deb/vendor/hello@1:2.0-1?arch=amd64"
    assert hello["hashes"] == [{"alg": "SHA-256", "content": site.lock.packages[0].blob.hex}]
    assert licences(hello) == ["GPL-3.0-or-later", "MIT", "GPL-2+ or Artistic"]


def test_an_image_lists_its_layers_and_the_packages_inside(site: Site, tmp_path: Path) -> None:
    _build(site, tmp_path / "bundle")
    image = next(i for i in of_kind(sbom_of(tmp_path / "bundle"), "container") if "ollama" in i["name"])
    locked = site.lock.images["ollama"]
    entry = read_layout(read_index(tmp_path / "bundle"), BlobStore(tmp_path / "bundle")).entry(locked.name)
    assert image["hashes"] == [{"alg": "SHA-256", "content": entry.descriptor.blob.hex}]
    layers = [part["hashes"][0]["content"] for part in image["components"] if part["type"] == "file"]
    assert layers == [layer.hex for layer in locked.layers]
    packages = [part for part in image["components"] if part["type"] == "library"]
    assert [package["purl"] for package in packages] == [
        "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=trixie",
        "pkg:deb/debian/libstdc%2B%2B6@1:14.2~rc1%2Bb2?arch=amd64&distro=trixie",
    ]
    assert licences(packages[0]) == ["GPL-3.0-or-later", "MIT", "GPL-2+ or Artistic"]
    assert "licenses" not in packages[1]


def test_a_model_is_a_component_with_its_terms(site: Site, tmp_path: Path) -> None:
    _build(site, tmp_path / "bundle")
    (model,) = of_kind(sbom_of(tmp_path / "bundle"), "machine-learning-model")
    locked = site.lock.models[samples.MODEL]
    assert [part["hashes"][0]["content"] for part in model["components"]] == [b.hex for b in locked.blobs]
    assert model["licenses"][0]["license"]["text"]["content"] == "Gemma Terms of Use"
    card = {figure["name"]: figure["value"] for figure in model["modelCard"]["properties"]}
    assert card == {"sealift:format": "gguf", "sealift:context-length": "32768"}


def test_machines_with_other_caches_build_the_same_bundle(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _build(site, tmp_path / "first")
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "other cache"))
    assert _build(site, tmp_path / "second").digest == first.digest
    have = HaveList(releases={}, blobs={layer.hex: layer.size for layer in site.lock.images["ollama"].layers})
    for cache in ("other cache", "third cache"):  # one that has read the layers, one that never has
        monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / cache))
        delta = _build(site, tmp_path / "delta", have=have)
        assert (delta.digest, delta.blobs - delta.carried) == (first.digest, 2)


@pytest.mark.parametrize("rot", ["altered", "cut short", "of another blob"])
def test_what_was_read_from_a_blob_is_read_anew_where_the_cache_has_rotted(
    site: Site, tmp_path: Path, rot: str
) -> None:
    first = _build(site, tmp_path / "first")
    (records,) = (tmp_path / "cache").glob("sbom-*")
    package = records / site.lock.packages[0].blob.hex
    layer = records / site.lock.images["ollama"].layers[0].hex
    whole = package.read_bytes()
    spoiled = {
        "altered": whole.replace(b"Artistic", b"artistic"),
        "cut short": whole[: len(whole) // 2],
        "of another blob": layer.read_bytes(),
    }[rot]
    assert spoiled != whole
    package.write_bytes(spoiled)
    blob = site.lock.packages[0].blob
    delta = _build(site, tmp_path / "delta", have=HaveList(releases={}, blobs={blob.hex: blob.size}))
    assert delta.digest == first.digest
    assert package.read_bytes() == whole


def test_the_serial_number_follows_from_the_lock(site: Site, tmp_path: Path) -> None:
    _build(site, tmp_path / "one")
    renamed = site.lock.release.model_copy(update={"version": "2026.11.1"})
    other = Site(site.lock.model_copy(update={"release": renamed}), site.sources, site.key, site.allowed)
    _build(other, tmp_path / "two")
    one, two = (json.loads(sbom_of(tmp_path / name)) for name in ("one", "two"))
    assert one["serialNumber"] != two["serialNumber"]
    assert "timestamp" not in one["metadata"]
    assert one["components"] == two["components"]
