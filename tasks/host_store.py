"""The host store: every blob of the release, verified on the host before anything uses it."""

from __future__ import annotations

from pyinfra.api import deploy

from sealift.depot.needed import needed_blobs
from sealift.host.wanted import Wanted
from sealift.operations.host_store import blobs_present, root_linked, store_guarded
from sealift.ssh import Ssh


@deploy("Host store")
def ship_blobs(wanted: Wanted) -> None:
    """Ship what the host lacks of its release, to the disk that the site wants; root alone can change it."""
    root_linked(name="Link sealift's folder to the data folder", data_folder=wanted.settings.data_folder)
    store_guarded(name="Keep the host store to root")
    blobs_present(
        name="Ship what the host store lacks",
        wanted=needed_blobs(wanted.lock, wanted.groups),
        ssh=Ssh(wanted.host, wanted.settings.ssh_config_file, wanted.settings.sudo),
        depot=wanted.settings.depot,
        release=f"{wanted.lock.release.name}@{wanted.bundle}",
        groups=wanted.groups,
    )
