"""Images out of `docker save` tarballs: the classic form, and the newer one, which has `manifest.json` too.

Source of the format: image/tarexport of github.com/moby/moby.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from sealift.bundle.blobs import Content, digest_of, hash_content
from sealift.errors import SealiftError
from sealift.files import parse_json
from sealift.progress import Meter, Progress
from sealift.release.tarball import Tarball
from sealift.release.types import Digest, Image, LockedImage

_MANIFEST_LIMIT = 1 << 20  # bytes
_CONFIG_LIMIT = 8 << 20  # bytes
_LAYERS = 512


class _Saved(BaseModel):
    """An image of `manifest.json`."""

    config: str = Field(alias="Config")
    layers: tuple[str, ...] = Field(alias="Layers", min_length=1, max_length=_LAYERS)
    tags: tuple[str, ...] | None = Field(alias="RepoTags", default=None)


class _RootFs(BaseModel):
    diff_ids: tuple[Digest, ...]


class _Config(BaseModel):
    architecture: str
    os: str
    rootfs: _RootFs


@dataclass(frozen=True)
class SavedImage:
    """Where an image's parts lie, before anything is hashed."""

    config: Content
    layers: tuple[Content, ...]
    diff_ids: tuple[str, ...]


def open_image(image: Image, sources: Path) -> SavedImage:
    """Find an image in its tarball.

    + sources: the folder that `archive` is relative to

    Raises SealiftError where the tarball is not what `docker save` writes, or is for another machine.
    """
    tarball = Tarball(sources / image.archive)
    where = f"{tarball.path}: manifest.json"
    saved = _choose(image, tarball, where)
    config = _parse_config(tarball, saved.config)
    if len(config.rootfs.diff_ids) != len(saved.layers):
        raise SealiftError(f"{where}: its layers are not those of the config. Save the image again.")
    if (config.os, config.architecture) != ("linux", "amd64"):
        raise SealiftError(
            f"{tarball.path}: is for {config.os}/{config.architecture}, expected linux/amd64. Save that one."
        )
    layers = tuple(tarball.find(name.removeprefix("./")) for name in saved.layers)
    return SavedImage(tarball.find(saved.config), layers, config.rootfs.diff_ids)


def lock_image(image: Image, sources: Path, progress: Progress) -> LockedImage:
    """Hash an image's parts and check them against its config.

    + progress: told of bytes hashed

    Raises SealiftError naming the layer that is compressed or is not what the config says.
    """
    saved = open_image(image, sources)
    meter = Meter(f"hashing {image.archive}", sum(layer.size for layer in saved.layers), progress)
    layers = []
    for number, (content, diff_id) in enumerate(zip(saved.layers, saved.diff_ids, strict=True), start=1):
        where = f"{sources / image.archive}: layer {number}"
        _refuse_compressed(content, where)
        blob = hash_content(content, meter.add)
        if blob.digest != diff_id:
            raise SealiftError(f"{where}: is {blob.digest}, its config says {diff_id}. Save the image again.")
        layers.append(blob)
    config = digest_of(b"".join(saved.config.chunks()))
    return LockedImage(name=image.name, archive=image.archive, config=config, layers=tuple(layers))


def _choose(image: Image, tarball: Tarball, where: str) -> _Saved:
    """The one image of the tarball, or the one of that name where there are several."""
    parsed = parse_json(tarball.read("manifest.json", _MANIFEST_LIMIT), where)
    try:
        images = [_Saved.model_validate(item) for item in parsed if isinstance(parsed, list)]
    except (ValidationError, TypeError):
        raise SealiftError(f"{where}: is not what docker save writes. Save the image again.") from None
    if len(images) > 1:
        # `docker save` leaves out its default registry
        names = {image.name, image.name.removeprefix("docker.io/").removeprefix("library/")}
        images = [saved for saved in images if names & set(saved.tags or ())]
    if len(images) != 1:
        raise SealiftError(f"{where}: does not name {image.name} once. Save that image alone.")
    return images[0]


def _parse_config(tarball: Tarball, name: str) -> _Config:
    where = f"{tarball.path}: {name}"
    try:
        return _Config.model_validate(parse_json(tarball.read(name, _CONFIG_LIMIT), where))
    except ValidationError:
        raise SealiftError(f"{where}: is not an image's config. Save the image again.") from None


def _refuse_compressed(layer: Content, where: str) -> None:
    start = b"".join(Content(layer.path, layer.offset, min(layer.size, 4)).chunks())
    if start.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        raise SealiftError(f"{where}: is compressed, expected plain tar. Save it with docker save.")
