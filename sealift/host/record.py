"""The record of a generation: all that a host was beside its configuration, in lines that sh(1) can read.

`restore.sh`, which lies beside it, makes the host so again out of the host's own store. Whoever wants to know
whether a host is what a generation was holds it against the record.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources

from sealift.errors import SealiftError
from sealift.host.daemon_json import daemon_json
from sealift.host.settings import SiteSettings
from sealift.host_paths import OWNERS, REPOSITORIES
from sealift.release.locked import Lock
from sealift.release.ollama_manifest import manifest_bytes, manifest_path
from sealift.release.roles import Answers, placed_names
from sealift.services import SERVICES

RECORD = "record"
RESTORE = "restore.sh"
MANIFESTS = "models"  # folder of a generation: manifests of models, named by their SHA-256
FORMAT = "1"
PLACE = resources.files("sealift.host").joinpath("place_live.sh").read_text()
# What a generation is beside its configuration, in /etc: apt's source, the daemons' configurations.
ETC = (
    "/etc/apt/keyrings/sealift.asc",
    "/etc/apt/sources.list.d/sealift.sources",
    "/etc/containerd/config.toml",
    "/etc/docker/daemon.json",
    "/etc/cdi/sealift-stand-in.yaml",
    "/etc/cdi/nvidia.yaml",
)
_RESTORE = resources.files("sealift.host").joinpath(RESTORE).read_text()
_LIMIT = 1 << 20  # characters; a large record has 100 kB
_WORD = re.compile(r"[!-~]{1,512}")
_KINDS = {  # how many words each line has
    "format": 1,
    "release": 2,
    "repository": 1,
    "package": 2,
    "file": 3,
    "docker": 1,
    "image": 3,  # or more: its layers
    "manifest": 2,
    "weights": 1,
    "network": 1,
    "folder": 2,
    "service": 4,
    "absent": 1,
}


def record_files(
    settings: SiteSettings,
    lock: Lock,
    bundle: str,
    groups: frozenset[str],
    answers: Answers,
    specs: Mapping[str, str],
) -> dict[str, bytes]:
    """The record of a generation and what goes with it, by path below the generation.

    + settings: in force on the host
    + lock: what its release pins
    + bundle: digest of the bundle that brought the lock
    + groups: the host's inventory groups
    + answers: which models answer the roles there
    + specs: by service, digest of all that its container is made from
    """
    named = placed_names(lock, groups, answers)
    manifests = {manifest_bytes(each.variant.manifest) for each in named}
    lines = (
        f"format {FORMAT}",
        f"release {lock.release.reference} {bundle}",
        f"repository {REPOSITORIES}/{bundle.removeprefix('sha256:')[:12]}",
        *_of_release(lock, groups, answers),
        f"docker {hashlib.sha256(daemon_json(settings.docker).encode()).hexdigest()}",
        *_of_services(lock, groups, specs),
    )
    return {
        RECORD: "".join(f"{line}\n" for line in lines).encode(),
        RESTORE: f"{_RESTORE.replace('# PLACE_LIVE', PLACE.strip())}".encode(),
        **{f"{MANIFESTS}/{_sha256(manifest)}": manifest for manifest in manifests},
    }


def _of_release(lock: Lock, groups: frozenset[str], answers: Answers) -> Iterator[str]:
    for package in sorted(lock.packages_for(groups), key=lambda package: package.name):
        yield f"package {package.name} {package.version}"
    for _, (file, blob) in sorted(lock.files_for(groups).items()):
        yield f"file {file.target} {file.mode.lstrip('0')} {blob.hex}"
    images = {image.name: image for image in lock.images_for(groups).values()}  # services may share one
    for name, image in sorted(images.items()):
        layers = "".join(f" {layer.hex}" for layer in image.layers)
        yield f"image {name} {image.image_id} {image.config.hex}{layers}"
    named = placed_names(lock, groups, answers)
    for path, manifest in sorted(
        (manifest_path(tag), _sha256(manifest_bytes(each.variant.manifest)))
        for each in named
        for tag in each.tags
    ):
        yield f"manifest {path} {manifest}"
    for weights in sorted({blob.hex for each in named for blob in each.variant.blobs}):
        yield f"weights {weights}"


def _of_services(lock: Lock, groups: frozenset[str], specs: Mapping[str, str]) -> Iterator[str]:
    services = lock.release.services_for(groups)
    images = {name: image.image_id for name, image in lock.images_for(groups).items()}
    for network in sorted({network for service in services for network in service.networks}):
        yield f"network {network}"
    for folder in sorted({folder for service in services for folder in service.folders}):
        yield f"folder {folder} {OWNERS.get(folder, 0)}"
    for service in services:
        yield f"service {service.name} {service.project} {specs[service.name]} {images[service.name]}"
    for service in SERVICES:
        if service not in services:
            yield from (f"absent {path}" for path in service.leaves)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Record:
    """A record, as far as it is held against a host.

    + release: NAME:VERSION
    + packages: versions by name
    + files: mode and SHA-256 by path
    + images: image IDs by name
    + manifests: SHA-256 by path below Ollama's `manifests/`
    + services: by project, in the order in which they start: spec and image ID
    """

    release: str
    bundle: str
    packages: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    manifests: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def parse_record(host: str, text: str) -> Record:
    """Parse a record as a host has it. Raises SealiftError where it was altered, or is of a later sealift."""
    found: dict[str, list[list[str]]] = {kind: [] for kind in _KINDS}
    for line in text[:_LIMIT].splitlines():
        kind, *words = line.split(" ")
        counted = len(words) >= _KINDS.get(kind, 0) if kind == "image" else len(words) == _KINDS.get(kind, 0)
        if kind not in _KINDS or not counted or not all(map(_WORD.fullmatch, words)):
            raise _altered(host)
        found[kind].append(words)
    if found["format"] != [[FORMAT]] or len(found["release"]) != 1 or len(text) > _LIMIT:
        raise _altered(host)
    (release,) = found["release"]
    return Record(
        release=release[0],
        bundle=release[1],
        packages={line[0]: line[1] for line in found["package"]},
        files={path: (mode, digest) for path, mode, digest in found["file"]},
        images={name: image_id for name, image_id, *_ in found["image"]},
        manifests={line[0]: line[1] for line in found["manifest"]},
        services={project: (spec, image) for _, project, spec, image in found["service"]},
    )


def _altered(host: str) -> SealiftError:
    return SealiftError(
        f"{host}: the record of a generation was altered, or is of a later sealift, expected format {FORMAT}."
        " Run sealift apply."
    )
