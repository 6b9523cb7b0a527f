"""Images out of tarballs, plain, gzip or zstd: `docker save` of the classic store and of containerd's, OCI's.

Sources of the formats: image/tarexport of github.com/moby/moby, which writes `manifest.json` in both of its
forms; image-layout.md of github.com/opencontainers/image-spec.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from pydantic import Field, ValidationError

from sealift.blob import Blob
from sealift.content import Content, digest_of, hash_content
from sealift.errors import SealiftError, one_line
from sealift.files import parse_json
from sealift.oci.manifest import (
    CONFIG_LIMIT,
    LAYERS,
    MANIFEST_LIMIT,
    Descriptor,
    Manifest,
    choose,
    parse_manifest,
    read_diff_ids,
)
from sealift.oci.tarball import Tarball
from sealift.progress import Meter
from sealift.release.locked import LockedImage
from sealift.release.values import Foreign, Many
from sealift.sources.compression import compression
from sealift.sources.source import BuildMachine, Find

_SHOWN = 8  # names in a message
_NESTED = 4  # indexes in indexes
# A config that is named by its digest: HEX.json, blobs/sha256/HEX, and sha256:HEX of go-containerregistry.
_NAMED = re.compile(r"(?:^|[/:])([0-9a-f]{64})(?:\.json)?$")


class _Saved(Foreign):
    """An image of `manifest.json`."""

    config: str = Field(alias="Config")
    layers: Many[str] = Field(alias="Layers", min_length=1, max_length=LAYERS)
    tags: Many[str] | None = Field(alias="RepoTags", default=None)


@dataclass(frozen=True)
class _Parts:
    """Where an image's parts lie, before anything is hashed."""

    config: Content
    layers: tuple[Content, ...]
    diff_ids: tuple[str, ...]


class DockerArchive:
    """An image in a tarball."""

    def __init__(self, name: str, archive: str, machine: BuildMachine) -> None:
        """Name an image; nothing is read yet.

        + name: HOST/PATH:TAG
        + archive: path below the machine's sources
        """
        self._name, self._archive, self._machine = name, archive, machine
        self._shown = str(machine.sources / archive)

    def lock(self) -> LockedImage:
        """Hash an image's parts and check them against its config.

        Raises SealiftError naming the layer that is not what the config says.
        """
        parts = self._read(pins=True)
        meter = Meter(
            f"hashing {self._name}", sum(layer.size for layer in parts.layers), self._machine.progress
        )
        layers = []
        for number, (content, diff_id) in enumerate(zip(parts.layers, parts.diff_ids, strict=True), start=1):
            where = f"{self._shown}: layer {number}"
            if compression(content) is not None:
                plain = self._machine.arrivals.whole(diff_id, self._machine.progress)
                plain = plain or self._unpacked(content, diff_id, where)
                layers.append(Blob(digest=diff_id, size=plain.size))
                meter.add(content.size)
                continue
            blob = hash_content(content, meter.add)
            if blob.digest != diff_id:
                raise SealiftError(
                    f"{where}: is {blob.digest}, its config says {diff_id}. Save the image again."
                )
            layers.append(blob)
        config = digest_of(b"".join(parts.config.chunks()))
        return LockedImage(name=self._name, archive=self._archive, config=config, layers=tuple(layers))

    def open(self, locked: LockedImage) -> Find:
        """Read once what is where in the tarball.

        Raises SealiftError where this is another image than was locked.
        """
        parts = self._read(pins=False)
        if parts.diff_ids != tuple(layer.digest for layer in locked.layers):
            raise SealiftError(f"{self._shown}: is not what was locked. Run sealift lock again.")
        return partial(self._find, parts)

    def _find(self, parts: _Parts, blob: Blob) -> Content:
        if blob.digest not in parts.diff_ids:  # the config
            return parts.config
        content = parts.layers[parts.diff_ids.index(blob.digest)]
        if compression(content) is None:
            return content
        return self._unpacked(content, blob.digest, self._shown)

    def _unpacked(self, content: Content, diff_id: str, where: str) -> Content:
        return self._machine.arrivals.unpack(lambda: content, diff_id, where, keep=True)

    def _read(self, *, pins: bool) -> _Parts:
        path = self._machine.sources / self._archive
        plain = self._machine.arrivals.plain_tarball(path, self._machine.progress, pins=pins)
        tarball = Tarball(plain, shown=self._shown)
        if "manifest.json" in tarball.names():
            config, layers = _saved(self._name, tarball, f"{self._shown}: manifest.json")
        else:
            config, layers = _laid_out(self._name, tarball, f"{self._shown}: index.json")
        where = f"{self._shown}: {config}"
        content = tarball.read(config, CONFIG_LIMIT)
        named = _NAMED.search(config)
        if named is not None and named[1] != digest_of(content).hex:
            raise SealiftError(f"{where}: is damaged. Save the image again.")
        diff_ids = read_diff_ids(content, len(layers), where)
        return _Parts(tarball.find(config), tuple(tarball.find(name) for name in layers), diff_ids)


def _saved(name: str, tarball: Tarball, where: str) -> tuple[str, tuple[str, ...]]:
    """Config and layers of that image in `manifest.json`, or of the only one if it has no name."""
    parsed = parse_json(tarball.read("manifest.json", MANIFEST_LIMIT), where)
    try:
        images = [_Saved.model_validate(item) for item in parsed if isinstance(parsed, list)]
    except (ValidationError, TypeError):
        raise SealiftError(f"{where}: is not what docker save writes. Save the image again.") from None
    # `docker save` leaves out its default registry
    names = {name, name.removeprefix("docker.io/").removeprefix("library/")}
    fitting = [saved for saved in images if names & set(saved.tags or ())]
    if len(images) == 1 and not images[0].tags:
        fitting = images
    if len(fitting) != 1:
        tags = sorted(tag for saved in images for tag in saved.tags or ())
        raise SealiftError(
            f"{where}: {one_line(_has(tags))}, expected {name} once. Save that image, by that name."
        )
    return fitting[0].config, tuple(layer.removeprefix("./") for layer in fitting[0].layers)


def _laid_out(name: str, tarball: Tarball, where: str) -> tuple[str, tuple[str, ...]]:
    """Config and layers of the image that `index.json` leads to, through the manifest for our machines."""
    content = tarball.read("index.json", MANIFEST_LIMIT)
    for _ in range(_NESTED):
        found = parse_manifest(content, where)
        if isinstance(found, Manifest):
            return _path(found.config), tuple(map(_path, found.layers))
        entry = choose(found, name, where)
        if entry.names and not entry.is_named(name):
            raise SealiftError(
                f"{where}: {_has(sorted(entry.names))}, expected {name}. Save that image, by that name."
            )
        content = tarball.read(_path(entry), MANIFEST_LIMIT)
        if digest_of(content).digest != entry.digest:
            raise SealiftError(f"{where}: {entry.digest} is damaged. Save the image again.")
    raise SealiftError(f"{where}: leads from index to index. Save the image again.")


def _has(names: list[str]) -> str:
    return f"has {', '.join(name[:100] for name in names[:_SHOWN])}" if names else "has no image with a name"


def _path(descriptor: Descriptor) -> str:
    return f"blobs/sha256/{descriptor.blob.hex}"
