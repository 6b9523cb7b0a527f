"""tar files and `docker save` tarballs in which the same input always gives the same bytes.

Source of the formats: POSIX ustar; the Docker Image Specification v1.2, in moby/docker-image-spec. Names are
short and files below 8 GiB here, so plain ustar has room for all.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sealift.files import canonical_json

EPOCH = 1793491200  # seconds: 2026-11-01, the time of all files and images made here


@dataclass(frozen=True)
class Member:
    """A file of a tar file, or a folder where `content` is None."""

    name: str
    content: Path | bytes | None
    mode: int = 0o644


@dataclass(frozen=True)
class ImageSettings:
    """What a container of an image starts with."""

    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()  # PORT/PROTOCOL
    labels: dict[str, str] = field(default_factory=dict)


def write_tar(target: Path, members: Iterable[Member]) -> None:
    """Write a tar file, its members in the order given, owned by root, dated EPOCH."""
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        for member in members:
            _add(tar, member)


def write_docker_archive(target: Path, name: str, layers: Sequence[Path], settings: ImageSettings) -> str:
    """Write an image as `docker save` did before it wrote OCI layouts.

    + name: HOST/PATH:TAG
    + layers: plain tar files, the lowest first

    Returns the image ID: the digest of its config.
    """
    digests = [digest(layer) for layer in layers]
    config = image_config(settings, digests)
    image = hashlib.sha256(config).hexdigest()
    files = [f"{found}/layer.tar" for found in digests]
    manifest = [{"Config": f"{image}.json", "RepoTags": [name], "Layers": files}]
    members = [Member(f"{image}.json", config)]
    for found, file, layer in zip(digests, files, layers, strict=True):
        members += [Member(found, None, 0o755), Member(f"{found}/VERSION", b"1.0"), Member(file, layer)]
    write_tar(target, [*members, Member("manifest.json", canonical_json(manifest))])
    return f"sha256:{image}"


def image_config(settings: ImageSettings, diff_ids: Sequence[str]) -> bytes:
    """An image's config.

    + diff_ids: SHA-256 of each layer's tar file, the lowest first
    """
    created = datetime.fromtimestamp(EPOCH, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    container: dict[str, Any] = {
        "Entrypoint": list(settings.entrypoint),
        "Cmd": list(settings.command),
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *settings.environment],
        "ExposedPorts": {port: {} for port in settings.ports},
        "Labels": settings.labels,
    }
    return canonical_json(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": created,
            "config": container,
            "history": [{"created": created, "created_by": "demo/images.py"} for _ in diff_ids],
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}" for diff_id in diff_ids]},
        }
    )


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(tar: tarfile.TarFile, member: Member) -> None:
    entry = tarfile.TarInfo(member.name)
    entry.mode, entry.mtime = member.mode, EPOCH
    if member.content is None:
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)
    elif isinstance(member.content, bytes):
        entry.size = len(member.content)
        tar.addfile(entry, io.BytesIO(member.content))
    else:
        entry.size = member.content.stat().st_size
        with member.content.open("rb") as file:
            tar.addfile(entry, file)
