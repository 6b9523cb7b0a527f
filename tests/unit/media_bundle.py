"""A signed bundle of a few hundred bytes, so that media of it can be damaged at every single byte."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sealift.blobs import BlobStore
from sealift.bundle import signature
from sealift.errors import SealiftError
from sealift.files import canonical_json
from sealift.media.read import Read, find_media, read_media
from sealift.media.write import Written, write_media
from sealift.oci import layout
from sealift.progress import Progress, silent
from tests.unit import samples


@dataclass(frozen=True)
class Site:
    """A bundle, the key that signs it, and a list that allows that key."""

    bundle: Path
    key: Path
    allowed: Path

    def write(self, folder: Path, size: int = 200, *only: int) -> Written:
        return write_media(self.bundle, folder, size, self.key, frozenset(only), silent)

    def read(self, out: Path, *folders: Path, progress: Progress = silent) -> Read:
        return read_media(folders, out, self.allowed, progress)


def site(folder: Path, layer: bytes = bytes(range(250))) -> Site:
    key = samples.signing_key(folder / "key")
    allowed = folder / "allowed_signers"
    allowed.write_text(f'release@example.org namespaces="sealift" {key.with_suffix(".pub").read_text()}')
    make(folder / "bundle", key, layer)
    return Site(folder / "bundle", key, allowed)


def make(bundle: Path, key: Path, *layers: bytes) -> None:
    """A bundle of one image of these layers."""
    store = BlobStore(bundle)

    def put(content: bytes, kind: str) -> dict[str, object]:
        blob = store.put_bytes(content)
        return {"mediaType": kind, "digest": blob.digest, "size": blob.size}

    described = [put(layer, layout.OCI_LAYER) for layer in layers]
    config = put(b"{}", layout.OCI_CONFIG)
    manifest = put(canonical_json({"config": config, "layers": described}), layout.OCI_MANIFEST)
    index = canonical_json({"schemaVersion": 2, "manifests": [manifest]})
    (bundle / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    (bundle / "index.json").write_bytes(index)
    (bundle / "index.json.sig").write_bytes(signature.sign(index, key))
    store.sweep()


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.part"))


def stick_of(media: Path, stick: Path, *numbers: int) -> Path:
    """A copy of the media with only some of the parts."""
    wanted = {f"{number:04}.part" for number in numbers}
    stick.mkdir()
    for path in media.iterdir():
        if path.suffix != ".part" or path.name in wanted:
            shutil.copy(path, stick)
    return stick


def damaged_in_every_way(whole: bytes) -> Iterator[bytes]:
    """Each byte changed, each truncation, one byte more."""
    for position in range(len(whole)):
        yield whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]
        yield whole[:position]
    yield whole + b"\n"


def passes(site: Site, path: Path, damaged: bytes) -> bool:
    """Whether nothing is wrong with media that have this content in that file."""
    path.write_bytes(damaged)
    try:
        return not find_media([path.parent], site.allowed).problems
    except SealiftError:
        return False
