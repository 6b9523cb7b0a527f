"""What images a host's Docker has."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from sealift.facts.fact import FactBase
from sealift.facts.foreign import foreign

CONTAINERD = "io.containerd.snapshotter.v1"

_IMAGE = '{"id":{{json .Id}},"names":{{json .RepoTags}},"layers":{{json .RootFS.Layers}}}'


@dataclass(frozen=True)
class ImageStore:
    """Docker's images.

    + driver: CONTAINERD where containerd keeps them, else empty: the classic store
    + ids: image IDs by name, as Docker shortens it (see `familiar`)
    + chains: of each image, the digests of its layers' uncompressed contents, the lowest first
    """

    driver: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    chains: frozenset[tuple[str, ...]] = frozenset()


class Images(FactBase[ImageStore]):
    """Docker's images; none where Docker is not installed or does not answer."""

    default = ImageStore

    def command(self) -> str:
        """One line about the store, then one per image."""
        return (
            "if store=$(docker info --format '{{json .DriverStatus}}' 2>/dev/null); then"
            ' echo "$store"; docker image ls --all --quiet --no-trunc | sort -u'
            f" | xargs -r docker image inspect --format '{_IMAGE}'; fi"
        )

    @foreign
    def process(self, output: list[str]) -> ImageStore:
        """Read JSON lines."""
        status = json.loads(output[0]) or []
        images = [json.loads(line) for line in output[1:]]
        return ImageStore(
            driver=CONTAINERD if ["driver-type", CONTAINERD] in status else "",
            ids={name: image["id"] for image in images for name in image["names"] or []},
            chains=frozenset(tuple(image["layers"] or ()) for image in images),
        )


def familiar(name: str) -> str:
    """The form in which Docker shows an image's name: without `docker.io/` and `library/`."""
    if not name.startswith("docker.io/"):
        return name
    return name.removeprefix("docker.io/").removeprefix("library/")
