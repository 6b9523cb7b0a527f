"""A real registry on loopback, Debian's docker-registry, and ways to fill it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from sealift.content import digest_of
from sealift.release.ollama_manifest import LIBRARY, OLLAMA_MANIFEST

_READY = 20  # seconds


@dataclass(frozen=True)
class Peer:
    """A registry that runs."""

    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def push_blob(self, repository: str, content: bytes) -> None:
        start = _session().post(f"{self.url}/v2/{repository}/blobs/uploads/", timeout=10)
        start.raise_for_status()
        location, glue = start.headers["Location"], "&" if "?" in start.headers["Location"] else "?"
        url = f"{location}{glue}digest={digest_of(content).digest}"
        _session().put(url, data=content, timeout=60).raise_for_status()

    def push_manifest(self, repository: str, tag: str, media_type: str, manifest: dict[str, Any]) -> str:
        content = json.dumps({"schemaVersion": 2, "mediaType": media_type, **manifest}).encode()
        url = f"{self.url}/v2/{repository}/manifests/{tag}"
        headers = {"Content-Type": media_type}
        _session().put(url, data=content, headers=headers, timeout=10).raise_for_status()
        return digest_of(content).digest

    def manifest(self, repository: str, tag: str) -> tuple[dict[str, Any], str, int]:
        """Of OCI: what it says, its digest and its size."""
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        answer = _session().get(f"{self.url}/v2/{repository}/manifests/{tag}", headers=accept, timeout=10)
        answer.raise_for_status()
        return answer.json(), digest_of(answer.content).digest, len(answer.content)


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(folder: Path, auth: dict[str, Any] | None = None) -> Iterator[Peer]:
    """A registry that keeps its content in a folder.

    + auth: as its configuration has it
    """
    folder.mkdir(parents=True, exist_ok=True)
    peer = Peer(free_port())
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "content")}},
        "http": {"addr": peer.host},
    }
    (folder / "config.yml").write_text(yaml.safe_dump({**config, **({"auth": auth} if auth else {})}))
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )
    try:
        _wait(child, peer, folder / "log")
        yield peer
    finally:
        child.terminate()
        child.wait(10)


def _wait(child: subprocess.Popen[bytes], peer: Peer, log: Path) -> None:
    end = time.monotonic() + _READY
    while child.poll() is None and time.monotonic() < end:
        try:
            _session().get(f"{peer.url}/v2/", timeout=2)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"docker-registry does not answer:\n{log.read_text()}")


def skopeo(source: str, peer: Peer, name: str, *options: str) -> None:
    """Push an image.

    + name: PATH:TAG
    """
    target = f"docker://{peer.host}/{name}"
    done = subprocess.run(
        ["skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", *options, source, target],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def push_model(peer: Peer, files: dict[str, bytes], name: str) -> None:
    """As Ollama's registry has it.

    + files: of an Ollama store, by path
    """
    model, _, tag = name.partition(":")
    repository = f"{LIBRARY.partition('/')[2]}/{model}"
    manifest = json.loads(files[f"manifests/{LIBRARY}/{model}/{tag}"])
    for path, content in files.items():
        if path.startswith("blobs/"):
            peer.push_blob(repository, content)
    peer.push_manifest(repository, tag, OLLAMA_MANIFEST, manifest)


def mirrors(port: int) -> dict[str, str]:
    """An environment in which a port on loopback is the registry of images and Ollama's of models."""
    return {
        "SEALIFT_MIRRORS": f"docker.io=http://127.0.0.1:{port} registry.ollama.ai=http://127.0.0.1:{port}"
    }
