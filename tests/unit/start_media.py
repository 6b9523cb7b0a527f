"""Media with code for a control node, and START.py run from them."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.bundle import signature
from sealift.content import digest_of
from sealift.files import canonical_json
from sealift.media.write import write_media
from sealift.oci import layout
from sealift.progress import silent
from sealift.release.locked import LockedControl
from sealift.release.lockfile import dump_lock
from sealift.release.types import Control
from tests.unit import samples

# Stands for the deployment code: tells what it was started with.
TELLS = b"import json, sys\nprint(json.dumps([sys.argv, sys.flags.isolated]))\n"
MAIN = "sealift/install/__main__.py"


@dataclass(frozen=True)
class Site:
    """Media, and what a machine needs to start from them."""

    media: Path
    allowed: Path
    key: Path
    code: Blob
    to: Path

    def start(
        self,
        *more: str | Path,
        isolated: bool = True,
        path: str = "",
        limit_s: float = 60,
        python: str = sys.executable,
    ) -> subprocess.CompletedProcess[str]:
        command = [python, *(["-I"] if isolated else []), str(self.media / "START.py")]
        given = ["--allowed-signers", self.allowed, "--to", self.to, *more]
        environment = {**os.environ, **({"PATH": path} if path else {})}
        return subprocess.run(
            [*command, *map(str, given)], env=environment, capture_output=True, text=True, timeout=limit_s
        )

    def refused(self, *more: str | Path, path: str = "") -> str:
        done = self.start(*more, path=path)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        return " ".join(done.stderr.split())

    @property
    def unpacked(self) -> Path:
        return self.to / "starting" / self.code.hex

    @property
    def table_digest(self) -> str:
        return hashlib.sha256((self.media / "TABLE.txt").read_bytes()).hexdigest()

    def sign_again(self) -> None:
        """What somebody does who has the key and bad intentions."""
        table = (self.media / "TABLE.txt").read_bytes()
        (self.media / "TABLE.txt.sig").write_bytes(signature.sign(table, self.key))


def tar_of(files: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info)
    return file.getvalue()


def make(folder: Path, code: bytes, size: int = 4096) -> Site:
    """Media of a bundle with a release that has `code` for the control node, and a model's bytes beside."""
    site = samples.site(folder)
    control = LockedControl(code=digest_of(code), requirements=digest_of(b"# none\n"), wheels=())
    release = site.lock.release.model_copy(update={"control": Control(packages=("openssh-client",))})
    lock = site.lock.model_copy(update={"control": control, "release": release})
    bundle = folder / "bundle"
    store = BlobStore(bundle)

    def put(content: bytes, kind: str, **annotations: str) -> dict[str, object]:
        blob = store.put_bytes(content)
        noted = {"annotations": annotations} if annotations else {}
        return {"mediaType": kind, "digest": blob.digest, "size": blob.size, **noted}

    empty = put(b"{}", layout.OCI_EMPTY)
    layers = [put(content, layout.FILE_TYPE) for content in (code, b"# none\n", bytes(20_000))]
    manifests = {
        layout.RELEASE_REF: {"config": put(dump_lock(lock), layout.LOCK_TYPE), "layers": [empty]},
        layout.CONTROL_REF: {"config": empty, "layers": layers},
    }
    entries = [
        put(canonical_json(manifest), layout.OCI_MANIFEST, **{layout.REF_NAME: ref})
        for ref, manifest in manifests.items()
    ]
    index = canonical_json({"schemaVersion": 2, "manifests": entries})
    (bundle / "index.json").write_bytes(index)
    (bundle / "index.json.sig").write_bytes(signature.sign(index, site.key))
    (bundle / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    store.sweep()
    write_media(bundle, folder / "media", size, site.key, frozenset(), silent)
    return Site(folder / "media", site.allowed, site.key, control.code, folder / "to")
