"""Programs that watch a fleet, out of the images of the demo release: the very ones that run on hosts."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

INGREDIENTS = Path(__file__).parents[1] / "build/ingredients"


def program(image: str, name: str, folder: Path) -> Path:
    """A program of an image.

    + image: the beginning of its archive's name, such as `prometheus`; as `docker save` wrote it
    + name: of the program, below usr/bin
    + folder: takes it
    """
    target = folder / name
    with layers(image) as found:
        for layer in found:
            with tarfile.open(fileobj=layer) as files:
                if f"usr/bin/{name}" in files.getnames():
                    target.write_bytes(_member(files, f"usr/bin/{name}").read())
                    target.chmod(0o755)
    assert target.exists(), f"{image} has no program usr/bin/{name}"
    return target


def root(image: str, folder: Path) -> Path:
    """All files of an image, for chroot(1): some programs do not run without theirs.

    + image: as for `program`
    + folder: takes them
    """
    with layers(image) as found:
        for layer in found:
            with tarfile.open(fileobj=layer) as files:
                files.extractall(folder, filter="tar")
    return folder


@contextmanager
def layers(image: str) -> Iterator[list[IO[bytes]]]:
    """The layers of an image, the lowest first."""
    (archive,) = INGREDIENTS.glob(f"{image}-[0-9]*.tar")
    with tarfile.open(archive) as saved:
        (manifest,) = json.load(_member(saved, "manifest.json"))
        yield [_member(saved, layer) for layer in manifest["Layers"]]


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)
    assert found is not None
    return found
