"""The SBOM of a bundle: valid by CycloneDX's own schema, the same on every machine, and never hostile."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from sealift.blobs import BlobStore
from sealift.bundle.build import BundleInfo, build
from sealift.bundle.have_list import HaveList
from sealift.content import digest_of
from sealift.errors import SealiftError
from sealift.oci.layout import SBOM_REF, SBOM_TYPE, read_index, read_layout
from sealift.progress import silent
from sealift.release.locked import Lock
from sealift.sbom.cyclonedx import make_sbom
from sealift.sbom.layers import LayerRecords, read_layer, whole_image
from sealift.sbom.licences import _SPDX, declared, of_deb
from sealift.sbom.purl import deb_purl, image_purl
from sealift.sbom.records import Record
from tests.unit import samples
from tests.unit.samples import Site

COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: hello

Files: *
License: GPL-2+ or Artistic
 Text that says License: nothing.

Files: lib/*
License: Expat

Files: doc/*
License: gpl-3+

License: Expat
 Permission is hereby granted ...
"""
STATUS = """Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Multi-Arch: same
Version: 2.41-12
Description: GNU C Library
 Package: not-a-package

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: libstdc++6
Status: install ok installed
Architecture: amd64
Version: 1:14.2~rc1+b2
"""
OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\nVERSION_CODENAME=trixie\n'


def root_layer(files: dict[str, str]) -> bytes:
    """A layer as of a distribution: with a device, and links that are absolute or lead out."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind, target in (
            ("dev/null", tarfile.CHRTYPE, ""),
            ("dev/fd", tarfile.SYMTYPE, "/proc/self/fd"),
            ("etc/out", tarfile.SYMTYPE, "../../out"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
        for name, text in files.items():
            content = text.encode(errors="surrogateescape")
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


DISTRIBUTION = root_layer(
    {
        "var/lib/dpkg/status": STATUS,
        "usr/lib/os-release": OS_RELEASE,
        "usr/share/doc/libc6/copyright": COPYRIGHT,
        "usr/share/doc/libstdc++6/copyright": "Copyright: see the sources.\n",
    }
)


def deb(folder: Path, name: str) -> bytes:
    """A real package with a copyright file."""
    (folder / "root/DEBIAN").mkdir(parents=True)
    control = f"Package: {name}\nVersion: 1.0\nArchitecture: amd64\nMaintainer: A <a@b.c>\nDescription: d\n"
    (folder / "root/DEBIAN/control").write_text(control)
    (folder / f"root/usr/share/doc/{name}").mkdir(parents=True)
    (folder / f"root/usr/share/doc/{name}/copyright").write_text(COPYRIGHT)
    (folder / "root/usr/bin").mkdir()
    (folder / "root/usr/bin/zeros").write_bytes(bytes(4 << 20))
    command = ("dpkg-deb", "--build", "--root-owner-group", str(folder / "root"), str(folder / f"{name}.deb"))
    subprocess.run(command, check=True, capture_output=True)
    return (folder / f"{name}.deb").read_bytes()


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


def _sbom(bundle: Path) -> str:
    entry = read_layout(read_index(bundle), BlobStore(bundle)).entry(SBOM_REF)
    (layer,) = entry.manifest.layers
    assert layer.media_type == SBOM_TYPE
    return BlobStore(bundle).path(layer.blob).read_text()


def _components(parent: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for component in parent.get("components", []):
        yield component
        yield from _components(component)


def _of_kind(sbom: str, kind: str) -> list[dict[str, Any]]:
    return [found for found in _components(json.loads(sbom)) if found["type"] == kind]


def _licences(component: dict[str, Any]) -> list[str]:
    chosen = [choice["license"] for choice in component.get("licenses", [])]
    return [licence.get("id") or licence["name"] for licence in chosen]


def _assert_valid(sbom: str) -> None:
    """By CycloneDX's own schema; references are unique and package URLs canonical beyond it."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom) is None
    found = list(_components(json.loads(sbom)))
    assert len({component["bom-ref"] for component in found}) == len(found)
    for component in found:
        if "purl" in component:
            assert PackageURL.from_string(component["purl"]).to_string() == component["purl"]


def test_an_sbom_is_valid_by_the_official_schema(site: Site, tmp_path: Path) -> None:
    _build(site, tmp_path / "bundle")
    _assert_valid(_sbom(tmp_path / "bundle"))


def test_the_validator_refuses_what_is_wrong(site: Site, tmp_path: Path) -> None:
    _build(site, tmp_path / "bundle")
    wrong = _sbom(tmp_path / "bundle").replace('"machine-learning-model"', '"model"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(wrong) is not None


def test_a_package_has_its_digest_and_the_licences_that_it_declares(site: Site, tmp_path: Path) -> None:
    _build(site, tmp_path / "bundle")
    hello = json.loads(_sbom(tmp_path / "bundle"))["components"][0]
    assert hello["purl"] == "pkg:deb/vendor/hello@1:2.0-1?arch=amd64"
    assert hello["hashes"] == [{"alg": "SHA-256", "content": site.lock.packages[0].blob.hex}]
    assert _licences(hello) == ["GPL-3.0-or-later", "MIT", "GPL-2+ or Artistic"]


def test_an_image_lists_its_layers_and_the_packages_inside(site: Site, tmp_path: Path) -> None:
    _build(site, tmp_path / "bundle")
    image = next(i for i in _of_kind(_sbom(tmp_path / "bundle"), "container") if "ollama" in i["name"])
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
    assert _licences(packages[0]) == ["GPL-3.0-or-later", "MIT", "GPL-2+ or Artistic"]
    assert "licenses" not in packages[1]


def test_a_model_is_a_component_with_its_terms(site: Site, tmp_path: Path) -> None:
    _build(site, tmp_path / "bundle")
    (model,) = _of_kind(_sbom(tmp_path / "bundle"), "machine-learning-model")
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
    one, two = (json.loads(_sbom(tmp_path / name)) for name in ("one", "two"))
    assert one["serialNumber"] != two["serialNumber"]
    assert "timestamp" not in one["metadata"]
    assert one["components"] == two["components"]


def _with_layer(
    lock: Lock, records: LayerRecords, config: str = "{}", terms: str = "", licences: tuple[str, ...] = ()
) -> str:
    """The SBOM where every blob says this."""
    blobs = [package.blob for package in lock.packages]
    blobs += [layer for image in lock.images.values() for layer in image.layers]
    texts = {blob.digest: Record(text=terms) for blob in lock.models[samples.MODEL].layers}
    texts[lock.models[samples.MODEL].config.digest] = Record(text=config)
    digests = {image.name: digest_of(image.name.encode()).digest for image in lock.images.values()}
    said = {blob.digest: Record(layer=records, licences=("Odd / <licence>\x07", *licences)) for blob in blobs}
    return make_sbom(lock, {**said, **texts}, digests).decode()


@pytest.mark.parametrize(
    "status",
    [
        STATUS + "\n" + STATUS,
        "Package: a/../b@c?d=e#f\nVersion: %25 &<\nArchitecture: x y\nStatus: a b installed\n",
        "Package: \udcff\udcfe\nVersion: 1\n\nPackage: p0\nVersion: \udcff\x00\x1b[31m@?#\n",
        "Package: p\nVersion: " + "9" * 100_000 + "\n",
        "Version: 1\n\n\n\n:\n:::\n \nPackage:\nVersion:\n",
    ],
)
def test_foreign_records_never_spoil_an_sbom(site: Site, tmp_path: Path, status: str) -> None:
    path = tmp_path / "layer"
    path.write_bytes(root_layer({"var/lib/dpkg/status": status, "etc/os-release": "ID=../x\nID\n=\n"}))
    _assert_valid(_with_layer(site.lock, read_layer(path)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no tar file" * 100,
        DISTRIBUTION[:5000],
        root_layer({"var/lib/dpkg/status": "Package: p\nVersion: 1\n\n" * 20_001}),
        root_layer({"var/lib/dpkg/status": "x" * ((16 << 20) + 1)}),
        root_layer({"../var/lib/dpkg/status": STATUS}),
    ],
)
def test_a_layer_that_is_beyond_bounds_is_said_to_be_unreadable(
    site: Site, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "layer").write_bytes(content)
    records = read_layer(tmp_path / "layer")
    assert not records.readable
    sbom = _with_layer(site.lock, whole_image((records,)))
    _assert_valid(sbom)
    assert {"name": "sealift:packages-inside", "value": "unreadable"} in _of_kind(sbom, "container")[0][
        "properties"
    ]


@pytest.mark.parametrize(
    "config", ["", "[" * 100_000, "[]", '{"model_type": {"a": 1}, "model_family": 7}', '{"model_type": ""}']
)
def test_a_foreign_config_of_a_model_never_spoils_an_sbom(site: Site, config: str) -> None:
    sbom = _with_layer(site.lock, LayerRecords(), config, terms=" \n\n")
    _assert_valid(sbom)
    assert "licenses" not in _of_kind(sbom, "machine-learning-model")[0]


def test_every_identifier_of_a_licence_is_in_the_list_of_spdx(site: Site) -> None:
    """The official schema has the list."""
    sbom = _with_layer(site.lock, LayerRecords(), licences=tuple(_SPDX))
    _assert_valid(sbom)
    identifiers = [choice["license"].get("id") for choice in json.loads(sbom)["components"][0]["licenses"]]
    assert set(identifiers) == {*_SPDX.values(), None}


def test_the_packages_of_distroless_images_are_found(tmp_path: Path) -> None:
    stanza = "Package: tzdata\nVersion: 2026b-0\nArchitecture: all\n"
    files = {"var/lib/dpkg/status.d/tzdata": stanza, "var/lib/dpkg/status.d/tzdata.md5sums": "0  x\n"}
    (tmp_path / "layer").write_bytes(root_layer(files))
    assert [(p.name, p.version) for p in read_layer(tmp_path / "layer").packages] == [("tzdata", "2026b-0")]


def test_the_uppermost_list_of_packages_counts(tmp_path: Path) -> None:
    upper = "Package: libc6\nVersion: 3\n"
    for name, content in (("lower", DISTRIBUTION), ("upper", root_layer({"var/lib/dpkg/status": upper}))):
        (tmp_path / name).write_bytes(content)
    image = whole_image((read_layer(tmp_path / "lower"), read_layer(tmp_path / "upper"), LayerRecords()))
    assert [(package.name, package.version) for package in image.packages] == [("libc6", "3")]
    assert (image.distribution, image.codename) == ("debian", "trixie")
    assert image.licences["libc6"]


def test_a_package_without_a_copyright_file_declares_nothing(tmp_path: Path) -> None:
    deb(tmp_path, "hello")
    assert of_deb("hello", tmp_path / "hello.deb") == declared(COPYRIGHT)
    assert of_deb("other", tmp_path / "hello.deb") == ()


def test_a_damaged_package_is_named(tmp_path: Path) -> None:
    whole = deb(tmp_path, "hello")
    (tmp_path / "hello.deb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SealiftError, match="hello: dpkg-deb cannot unpack"):
        of_deb("hello", tmp_path / "hello.deb")


def test_only_copyright_files_of_the_known_form_are_read() -> None:
    assert declared("License: MIT\n") == ()
    assert declared(f"Upstream-Name: x\n{COPYRIGHT}") == declared(COPYRIGHT)
    assert len(declared("Format: x\n\n" + "".join(f"License: L{n}\n" for n in range(1000)))) == 64


def test_package_urls_are_as_the_specification_has_them() -> None:
    deb = PackageURL("deb", "debian", "g++", "1:2.0~rc1+b2", {"arch": "amd64", "distro": "trixie"})
    assert deb_purl("debian", "g++", "1:2.0~rc1+b2", arch="amd64", distro="trixie") == deb.to_string()
    digest = f"sha256:{'0' * 64}"
    qualifiers = {"arch": "amd64", "repository_url": "localhost:5000/a/b", "tag": "1.0"}
    image = PackageURL("oci", None, "b", digest, qualifiers)
    assert image_purl("localhost:5000/a/b:1.0", digest, "amd64") == image.to_string()
