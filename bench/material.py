"""What is measured with: the demo release and a large incompressible model, an upgrade, a larger release."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sealift.content import CHUNK
from sealift.errors import SealiftError
from sealift.release.locked_model import WEIGHTS

LEAST = 16 << 20  # bytes of the large model: Gemma's header, which it begins with, is shorter
_DEMO = Path(__file__).parents[1] / "releases/demo.yaml"
_GEMMA, _LARGE = "gemma3:270m", "large:random"


@dataclass(frozen=True)
class Material:
    """Where all of it lies.

    + release: the demo's images, packages and Gemma, and the large model; without a control node
    + upgrade: the same with other weights of Gemma
    + larger: as `release`, with a larger model in place of the large one
    + images: as `docker save` writes them
    + store: an Ollama store with both models
    """

    sources: Path
    release: Path
    upgrade: Path
    larger: Path
    images: tuple[Path, ...]
    store: Path
    key: Path
    allowed_signers: Path


def make(work: Path, ingredients: Path, size: int, larger: int) -> Material:
    """Make it.

    + work: an empty folder
    + ingredients: what `python -m demo.ingredients` filled
    + size: bytes of the large model
    + larger: bytes of the larger release's one
    """
    for option, value in (("--size", size), ("--larger", larger)):
        if value < LEAST:
            raise SealiftError(f"{option} {value}: expected {LEAST} at least. Name a larger size.")
    sources = work / "sources"
    shutil.copytree(ingredients, sources, copy_function=_link)
    store, changed, bigger = sources / "models", sources / "changed", sources / "larger"
    store.mkdir()
    subprocess.run(("tar", "-xf", str(ingredients / "gemma3-270m.tar"), "-C", str(store)), check=True)
    for other in (changed, bigger):
        shutil.copytree(store, other, copy_function=_link)
    gemma = _manifest(store, _GEMMA)
    weights = _blob(store, _weights(gemma)["digest"])
    _add(store, _LARGE, gemma, _beginning(weights, LEAST // 2), size)
    _add(bigger, _LARGE, gemma, _beginning(weights, LEAST // 2), larger)
    _add(changed, _GEMMA, gemma, _beginning(weights, weights.stat().st_size - CHUNK), weights.stat().st_size)
    release = yaml.safe_load(_DEMO.read_text())
    release.pop("control", None)
    release["models"][_LARGE] = {"store": store.name}
    _write(work / "release.yaml", release)
    _write(work / "larger.yaml", release | {"models": release["models"] | {_LARGE: {"store": bigger.name}}})
    release["version"] = "2026.12.0"
    release["models"][_GEMMA] = {"store": changed.name}
    _write(work / "upgrade.yaml", release)
    images = tuple(sources / image["archive"] for image in release["images"].values())
    key, allowed = _signer(work)
    release_file, upgrade, larger_file = (work / f"{name}.yaml" for name in ("release", "upgrade", "larger"))
    return Material(sources, release_file, upgrade, larger_file, images, store, key, allowed)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _manifest(store: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_manifest_path(store, name).read_bytes())
    return content


def _manifest_path(store: Path, name: str) -> Path:
    return store / "manifests/registry.ollama.ai/library" / name.replace(":", "/")


def _weights(manifest: dict[str, Any]) -> dict[str, Any]:
    layer: dict[str, Any]
    (layer,) = (layer for layer in manifest["layers"] if layer["mediaType"] == WEIGHTS)
    return layer


def _blob(store: Path, digest: str) -> Path:
    return store / "blobs" / digest.replace(":", "-")


def _beginning(path: Path, count: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(min(CHUNK, count)):
            count -= len(chunk)
            yield chunk


def _add(store: Path, name: str, like: dict[str, Any], beginning: Iterator[bytes], size: int) -> None:
    """Add a model with other weights to a store: so much of a real one, and random bytes behind it."""
    digest, new = hashlib.sha256(), store / "new"
    with new.open("wb") as file:

        def put(chunk: bytes) -> None:
            digest.update(chunk)
            file.write(chunk)

        for chunk in beginning:
            put(chunk)
        while file.tell() < size:
            put(os.urandom(min(CHUNK, size - file.tell())))
    manifest = json.loads(json.dumps(like))
    _weights(manifest).update(digest=f"sha256:{digest.hexdigest()}", size=size)
    new.rename(_blob(store, _weights(manifest)["digest"]))
    path = _manifest_path(store, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # it may be a second name of another store's
    path.write_text(json.dumps(manifest))


def _write(path: Path, release: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(release))


def _signer(work: Path) -> tuple[Path, Path]:
    """A key that signs bundles and have-lists, and who trusts it."""
    key, allowed = work / "key", work / "allowed_signers"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key), check=True)
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    allowed.write_text(f'bench@example namespaces="sealift,sealift-have" {public}\n')
    return key, allowed
