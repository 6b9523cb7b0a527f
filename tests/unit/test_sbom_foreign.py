"""Whatever layers, models and licences say of themselves, an SBOM of it is valid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sealift.content import digest_of
from sealift.release.locked import Lock
from sealift.sbom.cyclonedx import make_sbom
from sealift.sbom.layers import LayerRecords, read_layer, whole_image
from sealift.sbom.licences import _SPDX
from sealift.sbom.records import Record
from tests.unit import samples
from tests.unit.samples import Site
from tests.unit.sboms import DISTRIBUTION, STATUS, assert_valid, deb, of_kind, root_layer


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose package is a real one, and whose images have a distribution below."""
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "cache"))
    site = samples.site(tmp_path, base=DISTRIBUTION)
    hello = deb(tmp_path / "deb", "hello")
    (site.sources / "apt/hello.deb").write_bytes(hello)
    lock = site.lock.model_copy(update={"packages": (samples.package("hello", hello),)})
    return Site(lock, site.sources, site.key, site.allowed)


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
    assert_valid(_with_layer(site.lock, read_layer(path)))


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
    assert_valid(sbom)
    assert {"name": "sealift:packages-inside", "value": "unreadable"} in of_kind(sbom, "container")[0][
        "properties"
    ]


@pytest.mark.parametrize(
    "config", ["", "[" * 100_000, "[]", '{"model_type": {"a": 1}, "model_family": 7}', '{"model_type": ""}']
)
def test_a_foreign_config_of_a_model_never_spoils_an_sbom(site: Site, config: str) -> None:
    sbom = _with_layer(site.lock, LayerRecords(), config, terms=" \n\n")
    assert_valid(sbom)
    assert "licenses" not in of_kind(sbom, "machine-learning-model")[0]


def test_every_identifier_of_a_licence_is_in_the_list_of_spdx(site: Site) -> None:
    """The official schema has the list."""
    sbom = _with_layer(site.lock, LayerRecords(), licences=tuple(_SPDX))
    assert_valid(sbom)
    identifiers = [choice["license"].get("id") for choice in json.loads(sbom)["components"][0]["licenses"]]
    assert set(identifiers) == {*_SPDX.values(), None}
