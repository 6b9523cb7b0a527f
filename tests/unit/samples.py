"""Small real inputs for the tests of release, bundle and depot: archives, a signing key, a whole lock."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealift.content import digest_of
from sealift.progress import silent
from sealift.release.locked import Lock, LockedImage, LockedPackage
from sealift.release.locked_model import LockedModel
from sealift.release.types import Image, Model, Release
from sealift.sources.kinds import image_source, model_source
from sealift.sources.source import BuildMachine

IMAGE = "docker.io/ollama/ollama:0.11.4"
GATEWAY = "docker.io/envoyproxy/envoy:v1.36.2"
MODEL = "tiny:1m"


def tar(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)


def docker_files(layers: list[bytes], tag: str = IMAGE) -> dict[str, bytes]:
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    files = {f"l{number}/layer.tar": layer for number, layer in enumerate(layers)}
    manifest = [{"Config": name, "RepoTags": [tag], "Layers": list(files)}]
    return {**files, name: config, "manifest.json": json.dumps(manifest).encode()}


def layer(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("hello")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def gguf(
    keys: dict[str, Any],
    version: int = 3,
    tensors: dict[str, tuple[int, ...]] | None = None,
    tensor_type: int = 0,
) -> bytes:
    """A header. + tensors: shapes by name; + tensor_type: number of their type."""
    tensors = tensors or {}

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    def typed(value: Any) -> bytes:
        if isinstance(value, str):
            return struct.pack("<I", 8) + text(value)
        if isinstance(value, list) and value and isinstance(value[0], str):
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
        if isinstance(value, list):
            return struct.pack("<IIQ", 9, 5, len(value)) + b"".join(struct.pack("<i", v) for v in value)
        if isinstance(value, float):
            return struct.pack("<If", 6, value)
        return struct.pack("<II", 4, value)

    body = b"".join(text(key) + typed(value) for key, value in keys.items())
    for name, shape in tensors.items():
        numbers = struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, tensor_type, 0)
        body += text(name) + numbers
    return b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys)) + body


GEMMA = {
    "general.architecture": "gemma3",
    "tokenizer.ggml.tokens": ["a", "b" * 3000, "c"],
    "tokenizer.ggml.scores": [0] * 5000,
    "gemma3.block_count": 18,
    "gemma3.context_length": 32768,
    "gemma3.embedding_length": 640,
    "gemma3.attention.head_count": 4,
    "gemma3.attention.head_count_kv": 1,
    "gemma3.attention.key_length": 256,
    "gemma3.attention.value_length": 256,
    "gemma3.rope.freq_base": 1.5,
}


def ollama_files(weights: bytes, root: str = "") -> dict[str, bytes]:
    parts = {
        "application/vnd.docker.container.image.v1+json": b'{"model_format":"gguf"}',
        "application/vnd.ollama.image.model": weights,
        "application/vnd.ollama.image.license": b"Gemma Terms of Use",
    }
    described = [
        {"mediaType": kind, "digest": digest_of(content).digest, "size": len(content)}
        for kind, content in parts.items()
    ]
    described[1]["from"] = "/home/somebody/gemma.gguf"
    manifest = {"schemaVersion": 2, "config": described[0], "layers": described[1:]}
    blobs = {f"{root}blobs/sha256-{digest_of(content).hex}": content for content in parts.values()}
    name = f"{root}manifests/registry.ollama.ai/library/{MODEL.replace(':', '/')}"
    return {**blobs, name: json.dumps(manifest).encode()}


def release(**changes: Any) -> Release:
    document: dict[str, Any] = {
        "name": "demo",
        "version": "2026.11.0",
        "suite": "trixie",
        "packages": {
            "sources": {"vendor": {"path": "apt", "key": "apt/key.asc", "suites": ["./"]}},
            "all": ["hello"],
        },
        "images": {
            "ollama": {"name": IMAGE, "archive": "ollama.tar"},
            "gateway": {"name": GATEWAY, "archive": "gateway.tar"},
        },
        "models": {MODEL: {"archive": "model.tar"}},
        "roles": {"chat": {"model": MODEL}},
    }
    return Release.model_validate({**document, **changes})


KEYS = {"vendor": digest_of(b"its key").digest}  # of the release


def package(name: str, content: bytes, version: str = "1:2.0-1", **more: Any) -> LockedPackage:
    fields: dict[str, Any] = {
        "name": name,
        "version": version,
        "architecture": "amd64",
        "source": "vendor",
        "path": f"{name}.deb",
        "blob": digest_of(content),
        "groups": ("all",),
        "fields": {"Maintainer": "Jörg <j@example.org>", "Depends": "libc6", "Description": "greets"},
    }
    return LockedPackage.model_validate({**fields, **more})


def machine(sources: Path, environment: dict[str, str] | None = None) -> BuildMachine:
    return BuildMachine.of({"SEALIFT_CACHE": str(sources / "cache"), **(environment or {})}, sources, silent)


def lock_image(image: Image, sources: Path) -> LockedImage:
    return image_source(image, machine(sources)).lock()


def lock_model(name: str, model: Model, sources: Path) -> LockedModel:
    return model_source(name, model, machine(sources)).lock()


@dataclass(frozen=True)
class Site:
    """Everything that a build and an import need, in one folder."""

    lock: Lock
    sources: Path
    key: Path
    allowed: Path


def site(folder: Path, base: bytes | None = None) -> Site:
    """+ base: the lowest layer of both images, a tar file."""
    sources = folder / "sources"
    base = layer(b"base") if base is None else base
    tar(sources / "ollama.tar", docker_files([base, layer(b"ollama" * 100_000)]))
    tar(sources / "gateway.tar", docker_files([base, layer(b"envoy")], GATEWAY))
    tar(sources / "model.tar", ollama_files(gguf(GEMMA) + bytes(3 << 20)))
    (sources / "apt").mkdir()
    (sources / "apt" / "hello.deb").write_bytes(b"a package")
    wanted = release()
    lock = Lock(
        release=wanted,
        keys=KEYS,
        packages=(package("hello", b"a package"),),
        images={key: lock_image(image, sources) for key, image in wanted.images.items()},
        models={MODEL: lock_model(MODEL, wanted.models[MODEL], sources)},
    )
    key = signing_key(folder / "signing_key")
    allowed = folder / "allowed_signers"
    public = key.with_suffix(".pub").read_text().split()[:2]
    allowed.write_text(f'release@example.org namespaces="sealift" {" ".join(public)}\n')
    return Site(lock, sources, key, allowed)


def signing_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path
