"""Container images out of the host store."""

from __future__ import annotations

import json
import shlex
from collections.abc import Generator

from pyinfra import host
from pyinfra.api import FunctionCommand, StringCommand, operation

from sealift.facts.images import CONTAINERD, Images, familiar
from sealift.host_paths import BLOBS, ROOT
from sealift.operations.refusal import refusal
from sealift.release.locked import LockedImage

# Docker names a path of its own making.
_FULL = (
    "case $said in *'no space left on device'*) "
    "root=$(docker info --format '{{.DockerRootDir}}'); "
    'free=$(df -h --output=avail "$root" | tail -n 1 | tr -d " "); '
    'echo "$root: no space left on device, $free are free" >&2 ;; esac'
)
Commands = Generator[StringCommand | FunctionCommand, None, None]


@operation()
def image_loaded(image: LockedImage) -> Commands:
    """Have Docker know an image by its name with exactly the ID that the lock pins.

    An archive as `docker save` writes it is put together out of the host store and streamed into Docker,
    without the layers that Docker has under the same layers already: Docker's classic store takes those from
    itself. Docker compares every layer with its digest as it loads it.

    + image: what the lock says of it; its blobs must be in the host store
    """
    store = host.get_fact(Images)
    if store.ids.get(familiar(image.name)) == image.image_id:
        return
    if store.driver == CONTAINERD:
        yield refusal(
            "Docker keeps images in containerd, expected its classic store, where image IDs are the lock's."
            ' Set "features": {"containerd-snapshotter": false} in daemon.json.'
        )
        return
    yield StringCommand(load_script(image, known_layers(image, store.chains)))


def known_layers(image: LockedImage, chains: frozenset[tuple[str, ...]]) -> int:
    """How many of an image's lowest layers Docker has: the longest beginning shared with one of its images.

    + chains: of each image that Docker has, the digests of its layers, the lowest first
    """
    wanted = tuple(layer.digest for layer in image.layers)
    return max((_shared(wanted, chain) for chain in chains), default=0)


def load_script(image: LockedImage, known: int) -> str:
    """The shell script that loads an image and checks what became of it.

    + known: how many of its lowest layers are left out

    Source of `manifest.json`: `image/spec/spec.md` of github.com/moby/moby, version 1.2.
    """
    manifest = [
        {
            "Config": f"blobs/sha256/{image.config.hex}",
            "RepoTags": [image.name],
            "Layers": [f"blobs/sha256/{layer.hex}" for layer in image.layers],
        }
    ]
    blobs = dict.fromkeys(f"blobs/sha256/{blob.hex}" for blob in (image.config, *image.layers[known:]))
    failure = f"{image.name}: Docker has loaded another image than the lock names. Run sealift ship again."
    name, image_id = shlex.quote(image.name), shlex.quote(image.image_id)
    return "\n".join(
        (
            "set -eu",
            f"rm -rf {ROOT}/.load.*",
            f"folder=$(mktemp -d {ROOT}/.load.XXXXXX)",
            "trap 'rm -rf \"$folder\"' EXIT",
            f'printf %s {shlex.quote(json.dumps(manifest))} > "$folder/manifest.json"',
            f'said=$(tar -cf - -C "$folder" manifest.json -C {BLOBS.removesuffix("/blobs/sha256")}'
            f' {" ".join(blobs)} | docker load --quiet 2>&1) || {{ echo "$said" >&2; {_FULL}; exit 1; }}',
            f'[ "$(docker image inspect --format "{{{{.Id}}}}" {name})" = {image_id} ]'
            f" || {{ echo {shlex.quote(failure)} >&2; exit 1; }}",
        )
    )


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    same = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        same += 1
    return same
