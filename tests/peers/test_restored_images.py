"""Images on the way back, by a real Docker: named anew where it has them, else out of the host store."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.host.record import RESTORE
from sealift.host_paths import ROOT
from tests.peers.dockerd import Docker, running, unpack
from tests.unit import samples
from tests.unit.test_generation import rendered

pytestmark = pytest.mark.exhaustive
NAME = "localhost/sealift/x:1"
_CALL = """
own=$root/generations/$1
work=$(mktemp -d)
images
"""


class Store:
    """A host store with two images of one name, and records that name them."""

    def __init__(self, folder: Path, docker: Docker) -> None:
        self.root, self.docker, self._tool = folder / "sealift", docker, folder / "bin/docker"
        (self.root / "blobs/sha256").mkdir(parents=True)
        self._tool.parent.mkdir()
        libraries = f"{docker.root}/lib/x86_64-linux-gnu:{docker.root}/usr/lib/x86_64-linux-gnu"
        command = f'exec {docker.root}/usr/bin/docker --host unix://{docker.socket} "$@"'
        self._tool.write_text(f"#!/bin/sh\nexport LD_LIBRARY_PATH={libraries}\n{command}\n")
        self._tool.chmod(0o755)
        self.ids = {name: self._image(name) for name in ("old", "new")}

    def _image(self, name: str) -> str:
        files = samples.docker_files([samples.layer(b"both"), samples.layer(name.encode())], NAME)
        (manifest,) = json.loads(files["manifest.json"])
        digests = [self._blob(files[path]) for path in (manifest["Config"], *manifest["Layers"])]
        folder = self.root / "generations" / name
        folder.mkdir(parents=True)
        (folder / "record").write_text(f"image {NAME} sha256:{digests[0]} {' '.join(digests)}\n")
        return f"sha256:{digests[0]}"

    def _blob(self, content: bytes) -> str:
        path = self.root / "blobs/sha256" / hashlib.sha256(content).hexdigest()
        path.write_bytes(content)
        os.utime(path, (1, 1))
        return path.name

    def restored(self, name: str) -> str:
        """Have the images of a record; what was said."""
        text = rendered().files[RESTORE].content.decode().replace(ROOT, str(self.root))
        script = text.removesuffix("main\nexit\n") + _CALL
        assert script != text + _CALL
        environment = {"PATH": f"{self._tool.parent}:{os.environ['PATH']}", "HOME": "/root"}
        command = ["dash", "-c", script, "sealift", name]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert self.docker.inspect(NAME)["Id"] == self.ids[name]
        return ran.stdout


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with running(unpack(tmp_path, "trixie"), tmp_path / "docker", containerd_store=False) as docker:
        yield Store(tmp_path, docker)


def test_an_image_comes_back_by_its_id_and_else_out_of_the_store(store: Store) -> None:
    assert "loads the image" in store.restored("old")
    assert "loads the image" in store.restored("new")
    assert "names the image localhost/sealift/x:1 as before" in store.restored("old")
    assert store.restored("old") == ""
    store.docker("image", "prune", "--all", "--force")
    assert "loads the image" in store.restored("old")
