"""What images a host's Docker has."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from sealift.facts.engine import EngineFact
from sealift.facts.foreign import foreign
from sealift.host.engine import IMAGES, INFO, answers, asking

CONTAINERD = "io.containerd.snapshotter.v1"


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


class Images(EngineFact[ImageStore]):
    """Docker's images; none where Docker is not installed or does not run."""

    default = ImageStore

    def asks(self) -> tuple[str, ...]:
        """What keeps them, and all of them."""
        return INFO, IMAGES

    def command(self) -> str:
        """Ask all of it."""
        return asking(self.asks())

    @foreign
    def process(self, output: list[str]) -> ImageStore:
        """Read the answers."""
        found = answers(output)
        status = json.loads(found[INFO][0])["DriverStatus"] or []
        images = [json.loads(line) for line in found.get(IMAGES, [])]
        return ImageStore(
            driver=CONTAINERD if ["driver-type", CONTAINERD] in status else "",
            ids={name: image["Id"] for image in images for name in image["RepoTags"] or []},
            chains=frozenset(tuple(image["RootFS"].get("Layers") or ()) for image in images),
        )


def familiar(name: str) -> str:
    """The form in which Docker shows an image's name: without `docker.io/` and `library/`."""
    if not name.startswith("docker.io/"):
        return name
    return name.removeprefix("docker.io/").removeprefix("library/")
