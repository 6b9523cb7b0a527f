"""Models out of an Ollama store, a folder or a tarball: `manifests/` and `blobs/`, or both below `models/`.

Source of the format: server/manifest.go and server/modelpath.go of github.com/ollama/ollama.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from sealift.blob import Blob
from sealift.content import Content, digest_of, hash_content, read_foreign
from sealift.errors import SealiftError
from sealift.oci.tarball import Tarball
from sealift.progress import Meter
from sealift.release.locked_model import LockedModel
from sealift.release.ollama_manifest import (
    MANIFEST_LIMIT,
    ModelManifest,
    manifest_bytes,
    manifest_path,
    parse_model,
    weights_of,
)
from sealift.sources.gguf import ContextCost, read_context_cost
from sealift.sources.source import BuildMachine, Find


class Files(Protocol):
    """A store's files, in a tarball or a folder."""

    def names(self) -> Iterable[str]:
        """Every file that may be a manifest, as normal relative paths."""

    def find(self, name: str) -> Content:
        """Where a file's bytes lie. Raises SealiftError where it is missing."""

    def read(self, name: str, limit: int) -> bytes:
        """A small file's content. Raises SealiftError where it is missing, or bigger than so many bytes."""


@dataclass(frozen=True)
class _Store:
    """Where a model was found.

    + root: folder in the store above manifests and blobs, ending with /, or nothing
    """

    files: Files
    root: str
    manifest: ModelManifest


class StoredModel:
    """A model in an Ollama store."""

    def __init__(self, name: str, path: str, machine: BuildMachine) -> None:
        """Name a model; nothing is read yet.

        + name: MODEL:TAG
        + path: of a tarball of a store or of the store's folder, below the machine's sources
        """
        self._name, self._path, self._machine = name, path, machine
        self._shown = str(machine.sources / path)

    def lock(self) -> LockedModel:
        """Normalise the manifest and verify the blobs: Ollama itself never does after its download.

        Raises SealiftError naming what is missing or damaged.
        """
        store = self._open(pins=True)
        manifest, parts = store.manifest, (store.manifest.config, *store.manifest.layers)
        meter = Meter(f"hashing {self._path}", sum(part.size for part in parts), self._machine.progress)
        for part in parts:
            self._verify(store, part, meter)
        content = self._content(store, weights_of(manifest, f"{self._shown}: {self._name}"))
        cost = read_context_cost(content, f"{self._path}: {self._name}")
        return lock_manifest(manifest, cost, self._path)

    def open(self, locked: LockedModel) -> Find:  # noqa: ARG002 - as in every source
        """Find the model in the store. Raises SealiftError where it is missing."""
        return partial(self._content, self._open(pins=False))

    def _verify(self, store: _Store, blob: Blob, meter: Meter) -> None:
        found = hash_content(self._content(store, blob), meter.add)
        if found.digest != blob.digest:
            raise SealiftError(
                f"{self._shown}: {blob.digest} is damaged, its content is {found.digest}. "
                "Pull the model again, and make the tarball again if it is one."
            )

    def _content(self, store: _Store, blob: Blob) -> Content:
        content = store.files.find(f"{store.root}blobs/sha256-{blob.hex}")
        if content.size != blob.size:
            raise SealiftError(
                f"{self._shown}: {blob.digest} has {content.size} bytes, expected {blob.size}. "
                "Pull the model again, and make the tarball again if it is one."
            )
        return content

    def _open(self, *, pins: bool) -> _Store:
        path = self._machine.sources / self._path
        files: Files
        if path.is_dir():
            files = StoreFolder(path)
        else:
            plain = self._machine.arrivals.plain_tarball(path, self._machine.progress, pins=pins)
            files = Tarball(plain, shown=self._shown)
        root = self._root(files)
        manifest = f"{root}manifests/{manifest_path(self._name)}"
        content = files.read(manifest, MANIFEST_LIMIT)
        return _Store(files, root, parse_model(content, f"{self._shown}: {manifest}"))

    def _root(self, files: Files) -> str:
        path = f"manifests/{manifest_path(self._name)}"
        names = set(files.names())
        for root in ("", "models/"):
            if root + path in names:
                return root
        raise SealiftError(f"{self._shown}: has no model {self._name}. It needs {path}.")


class StoreFolder:
    """An Ollama store on this machine, such as ~/.ollama/models."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is read yet."""
        self._path = path

    def names(self) -> Iterable[str]:
        """Every manifest."""
        for root in ("", "models/"):
            for path in (self._path / root / "manifests").rglob("*"):
                yield path.relative_to(self._path).as_posix()

    def find(self, name: str) -> Content:
        """Where a file's bytes lie.

        Raises SealiftError where it is missing, or is a link.
        """
        return Content.of_file(self._path / name)

    def read(self, name: str, limit: int) -> bytes:
        """A small file's content.

        Raises SealiftError where it is missing, a link, or bigger than `limit` bytes.
        """
        return read_foreign(self._path / name, limit)


def lock_manifest(manifest: ModelManifest, cost: ContextCost, archive: str | None) -> LockedModel:
    """Pin a model.

    + cost: what its weights' header says
    + archive: the path below the sources folder that it is out of, if it is
    """
    return LockedModel(
        archive=archive,
        manifest=digest_of(manifest_bytes(manifest)),
        config=manifest.config,
        layers=manifest.layers,
        context_length=cost.context_length,
        shape=cost.shape,
    )
