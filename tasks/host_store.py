"""The host store: every blob of the release, verified on the host before anything uses it."""

from __future__ import annotations

from pyinfra.api import deploy

from sealift.depot.needed import needed_blobs
from sealift.operations.host_store import blobs_present
from tasks.site import site


@deploy("Host store")
def ship_blobs() -> None:
    """Ship what the host lacks of its release."""
    here = site()
    blobs_present(
        name="Ship what the host store lacks",
        wanted=needed_blobs(here.lock, here.groups),
        ssh_config=here.settings.ssh_config_file,
        depot=here.settings.depot,
        release=f"{here.lock.release.name}@{here.stored.digest}",
        groups=here.groups,
    )
