"""The release's container images."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from sealift.host.wanted import Wanted
from sealift.operations.images import image_loaded


@deploy("Images")
def load_images(wanted: Wanted) -> None:
    """Load each image out of the host store, without the layers that Docker has."""
    images = {image.name: image for image in wanted.images.values()}  # services may share one
    for _, image in host.loop(sorted(images.items())):
        image_loaded(name=f"Load image {image.name}", image=image)
