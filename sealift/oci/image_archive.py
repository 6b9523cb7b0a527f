"""An image's OCI layout as a tar file that `docker load` takes, on the classic store and on containerd's.

Source of the format: image/tarexport of github.com/moby/moby, which writes `manifest.json` beside the layout.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.content import Content
from sealift.errors import SealiftError
from sealift.files import canonical_json, sync_folder
from sealift.oci.layout import INDEX, LAYOUT_FILE
from sealift.oci.tar import Member, tar_chunks
from sealift.progress import Meter, Progress


@dataclass(frozen=True)
class WrittenImage:
    """The parts of an image in a layout."""

    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """All of them, each once: two layers may be equal."""
        return tuple({blob.hex: blob for blob in (self.manifest, self.config, *self.layers)}.values())


def write_archive(target: Path, name: str, layout: Path, image: WrittenImage, progress: Progress) -> None:
    """Write the archive, whole or not at all.

    + name: HOST/PATH:TAG
    + layout: folder with the image's OCI layout
    + progress: told of bytes written

    Raises SealiftError where it cannot be written.
    """
    meter = Meter(f"writing {target}", sum(blob.size for blob in image.blobs), progress)
    temporary = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # of a run that was killed
        with temporary.open("xb") as file:
            for chunk in tar_chunks(_members(name, layout, image, meter)):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise SealiftError(
            f"{target}: cannot be written: {error.strerror}. Mend that and run it again."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def _members(name: str, layout: Path, image: WrittenImage, meter: Meter) -> Iterator[Member]:
    saved = {
        "Config": f"blobs/sha256/{image.config.hex}",
        "RepoTags": [name],
        "Layers": [f"blobs/sha256/{layer.hex}" for layer in image.layers],
    }
    yield Member.of_bytes("manifest.json", canonical_json([saved]))
    for file in (LAYOUT_FILE, INDEX):
        yield Member.of_bytes(file, (layout / file).read_bytes())
    yield Member("blobs")
    yield Member("blobs/sha256")
    store = BlobStore(layout)
    for blob in image.blobs:
        content = Content.of_file(store.path(blob))
        yield Member(f"blobs/sha256/{blob.hex}", meter.noted(content.chunks()), blob.size)
