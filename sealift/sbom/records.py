"""What an SBOM has to know from inside blobs: read once from each and kept by its digest.

What is read follows from a blob's bytes alone. So a delta gets the SBOM of the whole bundle, though its
machine may hold only a part of the blobs.

Each record begins with its own SHA-256, over its blob's digest and its content: one that rotted or lies under
another name is read anew. Who may write into the cache can make up both; that is the user who builds, alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.errors import SealiftError
from sealift.files import canonical_json, write_atomically
from sealift.progress import Meter, Progress
from sealift.release.locked import Lock
from sealift.release.values import Frozen
from sealift.sbom.layers import LayerRecords, read_layer
from sealift.sbom.licences import Licences, of_deb
from sealift.sbom.python_licences import of_project, of_wheel
from sealift.threads import at_once

LICENCE = "application/vnd.ollama.image.license"
_FORM = "sbom-4"  # of the records: another one where reading changes
_TEXT_LIMIT = 256 << 10  # bytes of a licence or a model's config; Gemma's terms have 9 KB


class Record(Frozen):
    """What was read from one blob: a package's licences, a layer's records, a small text or a version."""

    licences: Licences = ()
    layer: LayerRecords = LayerRecords()
    text: str = ""
    version: str = ""


class Records:
    """Records in a cache folder."""

    def __init__(self, cache: Path) -> None:
        """Open them.

        + cache: the machine's cache folder
        """
        self._folder = cache / _FORM

    def lacking(self, lock: Lock) -> frozenset[str]:
        """Digests of the blobs of a release that must be at hand, because no good record is."""
        return frozenset(blob.digest for blob, _ in _readers(lock) if self._load(blob) is None)

    def read(self, lock: Lock, store: BlobStore, progress: Progress) -> dict[str, Record]:
        """Every record that a release's SBOM needs, by digest.

        + store: where blobs without a good record lie, verified
        + progress: told of bytes of packages and layers read

        Raises SealiftError where a package cannot be unpacked.
        """
        readers = {blob.digest: (blob, reader) for blob, reader in _readers(lock)}
        missing = [readers[digest] for digest in sorted(self.lacking(lock))]
        missing.sort(key=lambda item: -item[0].size)
        meter = Meter("reading licences", sum(blob.size for blob, _ in missing), progress)

        def read(item: tuple[Blob, Callable[[Path], Record]]) -> None:
            blob, reader = item
            content = canonical_json(reader(store.path(blob)).model_dump(mode="json"))
            write_atomically(self._path(blob), _seal(blob, content) + content)
            meter.add(blob.size)

        at_once(read, missing, meter=meter)
        return {digest: self._found(blob) for digest, (blob, _) in readers.items()}

    def _found(self, blob: Blob) -> Record:
        record = self._load(blob)
        if record is None:
            raise SealiftError(f"{self._path(blob)}: was altered meanwhile. Build again; it is made anew.")
        return record

    def _load(self, blob: Blob) -> Record | None:
        """The record, where there is one and it is as it was written."""
        try:
            written = self._path(blob).read_bytes()
        except FileNotFoundError:
            return None
        content = written.partition(b"\n")[2]
        return Record.model_validate_json(content) if written == _seal(blob, content) + content else None

    def _path(self, blob: Blob) -> Path:
        return self._folder / blob.hex


def _seal(blob: Blob, content: bytes) -> bytes:
    return hashlib.sha256(blob.hex.encode() + content).hexdigest().encode() + b"\n"


def _readers(lock: Lock) -> Iterator[tuple[Blob, Callable[[Path], Record]]]:
    for package in lock.packages:
        yield package.blob, partial(_deb_record, package.name)
    for image in lock.images.values():
        yield from ((layer, _layer_record) for layer in image.layers)
    for model in lock.models.values():
        yield model.config, _text_record
        yield from ((layer, _text_record) for layer in model.layers if layer.media_type == LICENCE)
    if lock.control is not None:
        yield lock.control.code, _code_record
        yield from ((wheel.blob, _wheel_record) for wheel in lock.control.wheels)


def _deb_record(name: str, path: Path) -> Record:
    return Record(licences=of_deb(name, path))


def _layer_record(path: Path) -> Record:
    return Record(layer=read_layer(path))


def _wheel_record(path: Path) -> Record:
    return Record(licences=of_wheel(path))


def _code_record(path: Path) -> Record:
    version, licences = of_project(path)
    return Record(version=version, licences=licences)


def _text_record(path: Path) -> Record:
    """A text that is too long to be a licence is left to its blob."""
    with path.open("rb") as file:
        content = file.read(_TEXT_LIMIT + 1)
    return Record(text=content.decode(errors="replace") if len(content) <= _TEXT_LIMIT else "")
