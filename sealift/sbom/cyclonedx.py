"""The bill of materials of a bundle: CycloneDX 1.6, as JSON whose every byte follows from the lock.

It has no timestamp, and its serial number is made from the lock's digest. Sources of the formats:
https://cyclonedx.org/docs/1.6/json/ and https://github.com/package-url/purl-spec.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sealift.blob import Blob
from sealift.content import digest_of
from sealift.files import canonical_json
from sealift.release.locked import REQUIREMENTS, Lock, LockedImage, LockedPackage
from sealift.release.locked_model import WEIGHTS, LockedModel, ModelLayer
from sealift.release.lockfile import dump_lock
from sealift.release.types import File
from sealift.sbom.layers import InstalledPackage, whole_image
from sealift.sbom.licences import Licences, spdx
from sealift.sbom.purl import _quoted, deb_purl, image_purl
from sealift.sbom.python_licences import expression
from sealift.sbom.records import LICENCE, Record

_TITLE_LENGTH = 100  # characters of a licence's first line
# What Ollama's config of a model says, under the names that are shown.
_FIGURES = {"parameters": "model_type", "quantization": "file_type", "format": "model_format"}

Component = dict[str, Any]


def make_sbom(lock: Lock, records: Mapping[str, Record], manifests: Mapping[str, str]) -> bytes:
    """A bundle's SBOM.

    + records: what was read from its blobs, by digest
    + manifests: digests of the manifests of images and models, by their names
    """
    release, digest = lock.release, digest_of(dump_lock(lock)).digest
    packages = [_package(lock, package, records[package.blob.digest].licences) for package in lock.packages]
    images = [
        _image(image, records, manifests[name])
        for name, image in sorted({image.name: image for image in lock.images.values()}.items())
    ]
    models = [_model(name, model, records) for name, model in sorted(lock.models.items())]
    files = [_file(name, lock.release.files[name], file.blob) for name, file in sorted(lock.files.items())]
    roles = [_part("role", title, layer) for title, layer, _ in lock.made]
    components = [*packages, *images, *models, *roles, *files, *_control(lock, records)]
    root = f"release:{release.reference}"
    return canonical_json(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'urn:sealift:lock:{digest}')}",
            "version": 1,
            "metadata": {
                "component": {
                    "type": "platform",
                    "bom-ref": root,
                    "name": release.name,
                    "version": release.version,
                },
                "properties": _properties({"lock": digest}),
                "tools": {"components": [{"type": "application", "name": "sealift"}]},
            },
            "components": components,
            "dependencies": [{"ref": root, "dependsOn": [component["bom-ref"] for component in components]}],
        },
        indent=1,
    )


def _package(lock: Lock, package: LockedPackage, licences: Licences) -> Component:
    vendor = "debian" if package.source in _of_debian(lock) else package.source
    distro = {"distro": lock.release.suite} if vendor == "debian" else {}
    purl = deb_purl(vendor, package.name, package.version, arch=package.architecture, **distro)
    return _without_empty(
        {
            "type": "library",
            "bom-ref": purl,
            "supplier": _supplier(package.fields.get("Maintainer", "")),
            "name": package.name,
            "version": package.version,
            "purl": purl,
            "hashes": _hashes(package.blob),
            "licenses": _declared(licences),
            "properties": _properties({"bytes": package.blob.size, "groups": " ".join(package.groups)}),
        }
    )


def _of_debian(lock: Lock) -> frozenset[str]:
    """Vendors' repositories are believed by keys of their own."""
    sources = lock.release.packages.sources
    return frozenset(name for name, source in sources.items() if source.key is None)


def _image(image: LockedImage, records: Mapping[str, Record], manifest: str) -> Component:
    purl = image_purl(
        image.name, image.manifest or manifest, "amd64"
    )  # as its registry knows it, if one does
    inside = whole_image(tuple(records[layer.digest].layer for layer in image.layers))
    vendor, distro = inside.distribution or "debian", inside.codename
    layers = [_part(purl, "layer", layer) for layer in dict.fromkeys(image.layers)]
    packages = [
        _installed(purl, vendor, distro, package, inside.licences.get(package.name, ()))
        for package in inside.packages
    ]
    told = {"image-id": image.image_id, "packages-inside": len(packages) if inside.readable else "unreadable"}
    return {
        "type": "container",
        "bom-ref": purl,
        "name": image.name.rpartition(":")[0],
        "version": image.name.rpartition(":")[2],
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": manifest.removeprefix("sha256:")}],
        "components": [*layers, *packages],
        "properties": _properties(told),
    }


def _installed(
    image: str, vendor: str, distro: str, package: InstalledPackage, licences: Licences
) -> Component:
    qualifiers = {"arch": package.architecture, "distro": distro}
    purl = deb_purl(vendor, package.name, package.version, **qualifiers)
    return _without_empty(
        {
            "type": "library",
            "bom-ref": f"{image}#{purl}",
            "supplier": _supplier(package.maintainer),
            "name": package.name,
            "version": package.version,
            "purl": purl,
            "licenses": _declared(licences),
        }
    )


def _model(name: str, model: LockedModel, records: Mapping[str, Record]) -> Component:
    config = _figures(records[model.config.digest].text)
    figures = {name: config[key] for name, key in _FIGURES.items() if key in config}
    title, _, tag = name.rpartition(":")
    parts = dict.fromkeys((model.config, *model.layers))
    texts = [records[layer.digest].text for layer in model.layers if layer.media_type == LICENCE]
    family = {"architectureFamily": config["model_family"]} if "model_family" in config else {}
    return _without_empty(
        {
            "type": "machine-learning-model",
            "bom-ref": f"model:{name}",
            "name": title,
            "version": tag,
            "hashes": [_hash(layer) for layer in model.layers if layer.media_type == WEIGHTS],
            "licenses": [_licence_text(text) for text in texts if text.strip()],
            "components": [_part(f"model:{name}", _kind(part), part) for part in parts],
            "modelCard": {
                "modelParameters": family,
                "properties": _properties({**figures, "context-length": model.context_length}),
            },
            "properties": _properties({"manifest": model.manifest.digest}),
        }
    )


def _control(lock: Lock, records: Mapping[str, Record]) -> Iterator[Component]:
    """The deployment code, which `metadata.properties` ties to the lock, and the wheels that it runs by."""
    if lock.control is None:
        return
    code, record = lock.control.code, records[lock.control.code.digest]
    ref = f"code@{code.digest}"
    yield _without_empty(
        {
            "type": "application",
            "bom-ref": ref,
            "name": "sealift",
            "version": record.version or code.digest,
            "hashes": _hashes(code),
            "licenses": _spdx_licences(record.licences),
            "components": [_part(ref, REQUIREMENTS, lock.control.requirements)],
            "properties": _properties({"bytes": code.size, "groups": "control"}),
        }
    )
    for wheel in lock.control.wheels:
        purl = f"pkg:pypi/{_quoted(wheel.name)}@{_quoted(wheel.version)}"
        told = {"bytes": wheel.blob.size, "file": wheel.file, "groups": "control"}
        yield _without_empty(
            {
                "type": "library",
                "bom-ref": purl,
                "name": wheel.name,
                "version": wheel.version,
                "purl": purl,
                "hashes": _hashes(wheel.blob),
                "licenses": _spdx_licences(records[wheel.blob.digest].licences),
                "properties": _properties(told),
            }
        )


def _file(name: str, file: File, blob: Blob) -> Component:
    found = [] if file.url is None else [{"type": "distribution", "url": file.url, "hashes": _hashes(blob)}]
    return _without_empty(
        {
            "type": "file",
            "bom-ref": f"file:{name}",
            "name": name,
            "hashes": _hashes(blob),
            "externalReferences": found,
            "properties": _properties(
                {"bytes": blob.size, "target": file.target, "mode": file.mode, "group": file.group}
            ),
        }
    )


def _kind(part: ModelLayer) -> str:
    """`license`, `template`, `params`; the weights are of the type `model`."""
    return "config" if part.media_type.endswith("+json") else part.media_type.rpartition(".")[2]


def _figures(config: str) -> dict[str, str]:
    """The short texts of a model's config, which is foreign."""
    try:
        parsed = json.loads(config)
    except (ValueError, RecursionError):
        return {}
    items = parsed.items() if isinstance(parsed, dict) else ()
    texts = {key: value for key, value in items if isinstance(value, str)}
    return {key: text for key, text in texts.items() if 0 < len(text) <= _TITLE_LENGTH and text.isprintable()}


def _part(owner: str, name: str, blob: Blob) -> Component:
    return {
        "type": "file",
        "bom-ref": f"{owner}#{name}@{blob.digest}",
        "name": name,
        "hashes": _hashes(blob),
        "properties": _properties({"bytes": blob.size}),
    }


def _licence_text(text: str) -> dict[str, Any]:
    title = text.strip().splitlines()[0].strip()[:_TITLE_LENGTH]
    attached = {"contentType": "text/plain", "content": text}
    return {"license": {"name": title, "acknowledgement": "declared", "text": attached}}


def _declared(licences: Iterable[str]) -> list[dict[str, Any]]:
    """SPDX's identifiers where there are, else Debian's own names."""
    named = {("id", found) if (found := spdx(name)) else ("name", name) for name in licences}
    return [{"license": {key: name, "acknowledgement": "declared"}} for key, name in sorted(named)]


def _spdx_licences(licences: Licences) -> list[dict[str, Any]]:
    """Identifiers, names, or one expression of several: CycloneDX has no lists of expressions."""
    if len(licences) == 1 and spdx(licences[0]) is None and expression(licences[0]):
        return [{"expression": licences[0], "acknowledgement": "declared"}]
    return _declared(licences)


def _supplier(maintainer: str) -> dict[str, str]:
    """The name alone: whose address it is does not matter to what is carried."""
    name = maintainer.partition("<")[0].strip()
    return {"name": name} if name else {}


def _hashes(blob: Blob) -> list[dict[str, str]]:
    return [_hash(blob)]


def _hash(blob: Blob) -> dict[str, str]:
    return {"alg": "SHA-256", "content": blob.hex}


def _properties(values: Mapping[str, object]) -> list[dict[str, str]]:
    return [{"name": f"sealift:{name}", "value": str(value)} for name, value in values.items()]


def _without_empty(component: Component) -> Component:
    return {key: value for key, value in component.items() if value not in ({}, [])}
