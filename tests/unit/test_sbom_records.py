"""What an SBOM takes out of layers and packages: lists of packages, licences, package URLs."""

from __future__ import annotations

from pathlib import Path

import pytest
from packageurl import PackageURL

from sealift.errors import SealiftError
from sealift.sbom.layers import LayerRecords, read_layer, whole_image
from sealift.sbom.licences import declared, of_deb
from sealift.sbom.purl import deb_purl, image_purl
from tests.unit.sboms import COPYRIGHT, DISTRIBUTION, deb, root_layer


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
