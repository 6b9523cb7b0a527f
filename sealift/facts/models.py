"""What stands in a host's store of models, and in the host store that it is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sealift.blob import Blob
from sealift.facts.fact import FactBase
from sealift.facts.foreign import foreign
from sealift.host_paths import BLOBS, MODELS
from sealift.release.ollama_manifest import manifest_path

REPLACED = f"{MODELS}/.replaced"  # there from before a damaged blob is replaced until models are loaded anew
VERIFIED = 1.0  # the modification time of a blob whose content was compared with its name


@dataclass(frozen=True)
class StoredFile:
    """A regular file: bytes, seconds since the epoch, and the inode that tells hard links of one file."""

    size: int
    modified: float
    inode: int


@dataclass(frozen=True)
class ModelStore:
    """Files by name in the host store and in Ollama's `blobs/`; manifests as path: SHA-256.

    + replaced: whether a blob took the place of a damaged one and what has that one loaded goes on with it
    """

    blobs: Mapping[str, StoredFile] = field(default_factory=dict)
    placed: Mapping[str, StoredFile] = field(default_factory=dict)
    manifests: Mapping[str, str] = field(default_factory=dict)
    replaced: bool = False


def blob_name(blob: Blob) -> str:
    """A blob's file name in Ollama's `blobs/`."""
    return f"sha256-{blob.hex}"


def is_verified(store: ModelStore, blob: Blob) -> bool:
    """Whether the host store has a blob whose content was compared with its name."""
    file = store.blobs.get(blob.hex)
    return file is not None and file.size == blob.size and file.modified == VERIFIED


def unplaced(store: ModelStore, blobs: Iterable[Blob]) -> list[Blob]:
    """Those of a model's blobs that are not in Ollama's store as they should be."""

    def placed(blob: Blob) -> bool:
        found = store.placed.get(blob_name(blob))
        return is_verified(store, blob) and found is not None and found.inode == store.blobs[blob.hex].inode

    return [blob for blob in blobs if not placed(blob)]


def unnamed(store: ModelStore, manifest: bytes, tags: Iterable[str]) -> list[str]:
    """The paths of those of a model's names that have another manifest, or none."""
    digest = hashlib.sha256(manifest).hexdigest()
    return [path for path in map(manifest_path, tags) if store.manifests.get(path) != digest]


class Models(FactBase[ModelStore]):
    """Ollama's store and the host store; empty where there are none."""

    default = ModelStore

    def command(self) -> str:
        """Look at every file, read none but the manifests."""
        look = "-maxdepth 1 -type f -printf '{}\\t%f\\t%s\\t%T@\\t%i\\n'"
        return (
            f"if [ -d {BLOBS} ]; then find {BLOBS} {look.format('store')}; fi; "
            f"if [ -d {MODELS}/blobs ]; then find {MODELS}/blobs {look.format('placed')}; fi; "
            f"if [ -e {REPLACED} ]; then echo replaced; fi; "
            f"if cd {MODELS}/manifests 2>/dev/null; then find . -type f -exec sha256sum {{}} +; fi"
        )

    @foreign
    def process(self, output: list[str]) -> ModelStore:
        """Read the lines of `find`, which have tabs, and those of `sha256sum`, which have not."""
        files: dict[str, dict[str, StoredFile]] = {"store": {}, "placed": {}}
        manifests = {}
        for line in output:
            if line == "replaced":
                continue
            if "\t" in line:
                where, name, size, modified, inode = line.split("\t")
                files[where][name] = StoredFile(int(size), float(modified), int(inode))
            else:
                digest, _, path = line.partition("  ./")
                manifests[path] = digest
        return ModelStore(files["store"], files["placed"], manifests, "replaced" in output)
