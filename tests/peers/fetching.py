"""An image as `docker save` has it, and the same one fetched from a registry."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sealift.content import Content
from sealift.release.locked import LockedImage
from sealift.release.types import Image
from sealift.sources.kinds import image_source
from tests.unit import samples

NAME = "docker.io/acme/tool:1.0"


def save(path: Path) -> Path:
    """An image as `docker save` has it, with a layer that compresses and one that does not."""
    layers = [samples.layer(b"text " * 1_000_000), samples.layer(os.urandom(3 << 20))]
    samples.tar(path, samples.docker_files(layers, NAME))
    return path


def fetched(tmp_path: Path, name: str, environment: dict[str, str]) -> LockedImage:
    """Lock an image with an empty cache, and read every part of it without the registry."""
    machine = samples.machine(tmp_path, {"DOCKER_CONFIG": str(tmp_path / "docker"), **environment})
    source = image_source(Image(name=name), machine)
    locked = source.lock()
    nobody = {"SEALIFT_MIRRORS": f"{name.partition('/')[0]}=http://127.0.0.1:9"}
    find = image_source(Image(name=name), samples.machine(tmp_path, nobody)).open(locked)
    for blob in (locked.config, *locked.layers):
        assert digest_of_content(find(blob)) == blob.digest
    return locked


def digest_of_content(content: Content) -> str:
    digest = hashlib.sha256()
    for chunk in content.chunks():
        digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"
