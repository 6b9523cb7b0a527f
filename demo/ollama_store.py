"""Models put together by Ollama itself, as tarballs of an Ollama store."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.archive import Member, digest, write_tar
from demo.commands import WITH_US, run, tail
from sealift.errors import SealiftError
from sealift.files import canonical_json

_READY = 60  # seconds


def create(ollama: Path, model: str, modelfile: str, target: Path, work: Path) -> None:
    """Have Ollama make a model, and write its store: `manifests/` and `blobs/`.

    + ollama: the program
    + model: MODEL:TAG
    + modelfile: its text
    + target: the tarball
    + work: an existing folder, for what is not kept

    Raises SealiftError where Ollama makes none.
    """
    (work / "Modelfile").write_text(modelfile)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(work / "home"),
        "OLLAMA_MODELS": str(work / "store"),
        "OLLAMA_HOST": f"127.0.0.1:{_free_port()}",
        "OLLAMA_NO_CLOUD": "1",
    }
    with _serving(ollama, environment, work / "serve.log"):
        run(
            (str(ollama), "create", model, "--file", str(work / "Modelfile")),
            work / "create.log",
            environment,
        )
    write_tar(target, _members(work / "store", model))


def _members(folder: Path, model: str) -> Iterator[Member]:
    """What goes into the tarball; blobs are hashed, since Ollama never does."""
    path = f"manifests/registry.ollama.ai/library/{model.replace(':', '/')}"
    manifest = normalise_manifest((folder / path).read_bytes())
    parsed = json.loads(manifest)
    yield Member(path, manifest)
    for named in sorted({part["digest"] for part in (parsed["config"], *parsed["layers"])}):
        blob = folder / "blobs" / named.replace(":", "-")
        if f"sha256:{digest(blob)}" != named:
            raise SealiftError(f"{blob}: is not what its name says. Is the disk in order?")
        yield Member(f"blobs/{blob.name}", blob)


def normalise_manifest(manifest: bytes) -> bytes:
    """A manifest as Ollama's registry has it.

    `ollama create` notes in `from` where a layer came from on this machine: the same model would have
    another digest elsewhere.
    """
    parsed = json.loads(manifest)
    parsed["layers"] = [{k: layer[k] for k in layer if k != "from"} for layer in parsed["layers"]]
    return canonical_json(parsed)


@contextmanager
def _serving(ollama: Path, environment: dict[str, str], log: Path) -> Iterator[None]:
    """An Ollama of our own on loopback, as long as it is needed."""
    with log.open("wb") as output:
        server = subprocess.Popen(
            (*WITH_US, str(ollama), "serve"), env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_until_ready(server, f"http://{environment['OLLAMA_HOST']}/api/version", log)
        yield
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + _READY
    while server.poll() is None and time.monotonic() < end:
        try:
            direct.open(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SealiftError(f"ollama serve: does not answer, expected it within {_READY} s.\n{tail(log)}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
