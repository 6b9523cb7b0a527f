"""Models out of the host store, in Ollama's own store."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterable, Iterator
from pathlib import PurePosixPath

from pyinfra import host
from pyinfra.api import StringCommand, operation

from sealift.blob import Blob
from sealift.facts.models import (
    REPLACED,
    VERIFIED,
    Models,
    ModelStore,
    blob_name,
    is_verified,
    unnamed,
    unplaced,
)
from sealift.host_paths import BLOBS, MODELS
from sealift.operations.hold import Hold, held
from sealift.release.ollama_manifest import manifest_path

Commands = Generator[StringCommand, None, None]


@operation()
def model_placed(blobs: tuple[Blob, ...], manifest: bytes, tags: tuple[str, ...]) -> Commands:
    """Have Ollama know a model under these names.

    Each blob is a hard link to the host store's, which sealift has verified; Ollama never verifies any. The
    manifests come last: a server that runs sees the model once it is whole. Two names for one manifest are
    two names for one model.

    + blobs: what the manifest names
    + manifest: Ollama's, as the lock pins it
    + tags: names such as `gemma3:270m`; a role is one too: `chat:latest`
    """
    lines = list(repairs(host.get_fact(Models), blobs, manifest, tags))
    if lines:
        yield StringCommand("\n".join(("set -eu", "umask 022", f"mkdir -p {MODELS}/blobs", *lines)))


@operation()
def only_models(tags: tuple[str, ...], blobs: tuple[Blob, ...]) -> Commands:
    """Have nothing in Ollama's store but this; the host store keeps its blobs.

    + tags: names such as `gemma3:270m`
    + blobs: what their manifests name
    """
    store = host.get_fact(Models)
    manifests = sorted(store.manifests.keys() - set(map(manifest_path, tags)))
    surplus = sorted(store.placed.keys() - set(map(blob_name, blobs)))
    files = [f"manifests/{path}" for path in manifests] + [f"blobs/{name}" for name in surplus]
    if files:
        lines = [f"rm -f -- {shlex.quote(f'{MODELS}/{file}')}" for file in files]
        yield StringCommand(
            "\n".join((*lines, f"find {MODELS}/manifests -mindepth 1 -type d -empty -delete"))
        )


@operation()
def models_reloaded(project: str, hold: Hold | None = None) -> Commands:
    """Have no damaged weights in memory: what was loaded before its blob was replaced is loaded anew.

    + project: Compose's name of what serves the models
    + hold: how the gateway holds requests meanwhile
    """
    if host.get_fact(Models).replaced:
        running = f"docker ps --quiet --filter label=com.docker.compose.project={project}"
        restart = f'ids=$({running}); [ -z "$ids" ] || docker restart $ids && rm -f {REPLACED}'
        yield StringCommand(held(hold, restart))


def repairs(store: ModelStore, blobs: Iterable[Blob], manifest: bytes, tags: Iterable[str]) -> Iterator[str]:
    """Lines of shell that make a store hold a model; none where it does.

    + store: as it is
    """
    wrong = unplaced(store, blobs)
    if any(blob_name(blob) in store.placed for blob in wrong):
        yield f": > {REPLACED} && sync {MODELS}"
    for blob in wrong:
        if not is_verified(store, blob):
            yield _verify(blob)
        yield f"ln -f {BLOBS}/{blob.hex} {MODELS}/.new-blob"
        yield f"mv -T {MODELS}/.new-blob {MODELS}/blobs/{blob_name(blob)}"
    if wrong:
        yield f"sync {MODELS}/blobs"
    for path in unnamed(store, manifest, tags):
        place = PurePosixPath(f"{MODELS}/manifests/{path}")
        yield f"mkdir -p {shlex.quote(str(place.parent))}"
        yield f"printf %s {shlex.quote(manifest.decode())} > {MODELS}/.new-manifest"
        yield f"sync {MODELS}/.new-manifest"
        yield f"mv -T {MODELS}/.new-manifest {shlex.quote(str(place))}"
        yield f"sync {shlex.quote(str(place.parent))}"


def _verify(blob: Blob) -> str:
    path = f"{BLOBS}/{blob.hex}"
    failure = f"{path}: is missing or damaged, expected {blob.size} bytes of that name. Run sealift ship."
    return (
        f"echo '{blob.hex}  {path}' | sha256sum --check --status && touch -d @{VERIFIED:.0f} {path}"
        f" || {{ echo {shlex.quote(failure)} >&2; exit 1; }}"
    )
