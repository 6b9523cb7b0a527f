"""The demo's bundle, held against the schema of CycloneDX, its own lock, and docs/verify-by-hand.md."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sealift.blobs import BlobStore
from sealift.oci.layout import read_index, read_layout
from sealift.sbom.summary import read_sbom
from tests.peers.by_hand import typed
from tests.peers.conftest import SIGNER, Demo

Component = dict[str, Any]
LICENCE = "application/vnd.ollama.image.license"


@pytest.fixture(scope="module")
def sbom(demo: Demo) -> str:
    store = BlobStore(demo.bundle)
    content = read_sbom(read_layout(read_index(demo.bundle), store), store)
    assert content is not None
    return content.decode()


@pytest.fixture(scope="module")
def components(sbom: str) -> list[Component]:
    """Those of the first level."""
    found: list[Component] = json.loads(sbom)["components"]
    return found


def _within(components: list[Component]) -> Iterator[Component]:
    for component in components:
        yield component
        yield from _within(component.get("components", []))


def _hashes(component: Component) -> set[str]:
    return {found["content"] for found in component["hashes"]}


def test_its_sbom_is_valid_by_the_official_schema(sbom: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom) is None
    wrong = sbom.replace('"SHA-256"', '"SHA-265"', 1)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(wrong) is not None


def test_every_package_wheel_and_file_of_its_lock_is_in_the_sbom(
    demo: Demo, components: list[Component]
) -> None:
    lock, control = demo.lock, demo.lock.control
    assert control is not None
    told = {(part["name"], part.get("version")): _hashes(part) for part in components}
    wanted = [(package.name, package.version, package.blob.hex) for package in lock.packages]
    wanted += [(wheel.name, wheel.version, wheel.blob.hex) for wheel in control.wheels]
    assert len(wanted) > 70
    for name, version, digest in wanted:
        assert told[name, version] == {digest}
    assert told["ollama-licence", None] == {lock.files["ollama-licence"].blob.hex}
    (code,) = (part for part in components if part["type"] == "application")
    assert _hashes(code) == {control.code.hex}


def test_debian_s_packages_are_listed_below_both_images(demo: Demo, components: list[Component]) -> None:
    images = {f"{part['name']}:{part['version']}": part for part in components if part["type"] == "container"}
    assert images.keys() == {image.name for image in demo.lock.images.values()}
    for image in demo.lock.images.values():
        inside = images[image.name]["components"]
        layers = [next(iter(_hashes(part))) for part in inside if part["type"] == "file"]
        assert layers == [layer.hex for layer in image.layers]
        packages = {part["name"]: part["purl"] for part in inside if part["type"] == "library"}
        assert {
            "base-files",
            "bash",
            "ca-certificates",
            "libc6",
            "libgcc-s1",
            "libstdc++6",
        } <= packages.keys()
        assert packages["libc6"].startswith("pkg:deb/debian/libc6@2.41-")
        assert packages["libc6"].endswith("?arch=amd64&distro=trixie")


def test_gemma_is_there_with_its_terms_and_their_whole_text_is_carried(
    demo: Demo, components: list[Component]
) -> None:
    models = {part["name"]: part for part in components if part["type"] == "machine-learning-model"}
    assert models.keys() == {"all-minilm", "gemma3"}
    gemma = models["gemma3"]
    assert gemma["version"] == "270m"
    locked = demo.lock.models["gemma3:270m"]
    assert {digest for part in gemma["components"] for digest in _hashes(part)} == {
        blob.hex for blob in locked.blobs
    }
    carried = [
        BlobStore(demo.bundle).path(layer).read_text()
        for layer in locked.layers
        if layer.media_type == LICENCE
    ]
    assert [choice["license"]["text"]["content"] for choice in gemma["licenses"]] == carried
    terms = next(text for text in carried if text.startswith("Gemma Terms of Use"))
    assert "Section 3: DISTRIBUTION AND RESTRICTIONS" in terms
    assert len(terms) > 5000


def test_licences_are_named_or_expressions_and_few_are_missing(components: list[Component]) -> None:
    every = list(_within(components))
    for choice in (choice for part in every for choice in part.get("licenses", ())):
        named = choice.get("license", {})
        assert choice.get("expression") or named.get("id") or named.get("name"), choice
    wheels = {part["name"]: part for part in components if part.get("purl", "").startswith("pkg:pypi/")}
    # pyrage's metadata declare none; the text is in the wheel.
    assert [name for name, part in wheels.items() if "licenses" not in part] == ["pyrage"]
    packages = [part for part in every if part.get("purl", "").startswith("pkg:deb/debian/")]
    declared = [part for part in packages if "licenses" in part]
    assert len(declared) > 0.8 * len(packages)


def test_docs_verify_by_hand_typed_over_it_passes(demo: Demo) -> None:
    done = typed(demo.bundle, demo.allowed, SIGNER)
    assert (done.returncode, done.stderr) == (0, "")
    assert f'Good "sealift" signature for {SIGNER}' in done.stdout
    lock = demo.lock
    for told in (
        *(f"image {image.name}\n" for image in lock.images.values()),
        *(f"package {package.name} {package.version}\n" for package in lock.packages),
        "model all-minilm:22m\n",
        "model gemma3:270m\n",
        "file ollama-licence\n",
        "Gemma Terms of Use",
        "releases/demo.yaml",
    ):
        assert told in done.stdout


def test_docs_verify_by_hand_typed_over_a_damaged_one_does_not_pass(demo: Demo, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(demo.bundle, bundle, copy_function=lambda a, b: Path(b).hardlink_to(a))
    weights = bundle / "blobs/sha256" / demo.lock.models["gemma3:270m"].layers[0].hex
    shutil.copy(weights, tmp_path / "damaged")
    with (tmp_path / "damaged").open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"damage")
    (tmp_path / "damaged").replace(weights)
    done = typed(bundle, demo.allowed, SIGNER)
    assert done.returncode != 0 and "did NOT match" in done.stderr
    shutil.rmtree(bundle)
