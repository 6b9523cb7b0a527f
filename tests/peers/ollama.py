"""The real Ollama of the demo release's ingredients, on loopback with a store of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from sealift.release.ollama_manifest import manifest_bytes, manifest_path
from sealift.release.roles import Named
from sealift.sources.source import Find
from tests.peers.registry import free_port

_READY = 60  # seconds
_ANSWER = 300  # seconds; a cold machine reads the weights first


def program(image: Path, folder: Path) -> Path:
    """Ollama's program, out of its image.

    + image: as `docker save` wrote it
    """
    with tarfile.open(image) as archive:
        (saved,) = json.load(_member(archive, "manifest.json"))
        for layer in saved["Layers"]:
            with tarfile.open(fileobj=_member(archive, layer)) as files:
                if "usr/bin/ollama" in files.getnames():
                    (folder / "ollama").write_bytes(_member(files, "usr/bin/ollama").read())
                    (folder / "ollama").chmod(0o755)
                    return folder / "ollama"
    raise AssertionError(f"{image} has no program usr/bin/ollama")


def _member(archive: tarfile.TarFile, name: str) -> io.BufferedReader:
    found = archive.extractfile(name)
    assert isinstance(found, io.BufferedReader)
    return found


@dataclass(frozen=True)
class Ollama:
    """An Ollama that runs."""

    program: Path
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://{self.environment['OLLAMA_HOST']}"

    def create(self, name: str, modelfile: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.program), "create", name, "--file", str(modelfile)],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def ask(self, path: str, **question: Any) -> dict[str, Any]:
        answer = _session().post(f"{self.url}{path}", json={"stream": False, **question}, timeout=_ANSWER)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def environment_in(folder: Path) -> dict[str, str]:
    """Of an Ollama whose store is below a folder: `models/`."""
    (folder / "home").mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_HOST": f"127.0.0.1:{free_port()}",
        "OLLAMA_NO_CLOUD": "1",
    }


@contextmanager
def serving(program: Path, folder: Path) -> Iterator[Ollama]:
    """An Ollama whose store is below a folder: `models/`."""
    environment = environment_in(folder)
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen([str(program), "serve"], env=environment, stdout=log, stderr=log)
    try:
        ollama = Ollama(program, environment)
        wait(child, ollama, folder / "log")
        yield ollama
    finally:
        child.terminate()
        child.wait(20)


def wait(child: subprocess.Popen[bytes], ollama: Ollama, log: Path) -> None:
    end = time.monotonic() + _READY
    while child.poll() is None and time.monotonic() < end:
        try:
            _session().get(f"{ollama.url}/api/version", timeout=2)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"ollama serve does not answer:\n{log.read_text()}")


def place(folder: Path, names: Iterable[Named], texts: Mapping[str, bytes], find: Find) -> None:
    """Fill the store of an Ollama as a host's is filled.

    + folder: as for `serving`
    + texts: by digest, what is not the models' own
    + find: gives what is
    """
    blobs = folder / "models/blobs"
    blobs.mkdir(parents=True)
    for named in names:
        for blob in named.variant.blobs:
            path = blobs / f"sha256-{blob.hex}"
            if not path.exists():
                chunks = (texts[blob.digest],) if blob.digest in texts else find(blob).chunks()
                with path.open("wb") as file:
                    file.writelines(chunks)
        for tag in named.tags:
            path = folder / "models/manifests" / manifest_path(tag)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(manifest_bytes(named.variant.manifest))
