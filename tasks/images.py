"""The release's container images."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from sealift.operations.images import image_loaded
from tasks.site import site


@deploy("Images")
def load_images() -> None:
    """Load each image out of the host store, without the layers that Docker has."""
    for _, image in host.loop(sorted(site().lock.images.items())):
        image_loaded(name=f"Load image {image.name}", image=image)
