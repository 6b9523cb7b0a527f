"""Docker as the site configures it; on hosts with a GPU, together with NVIDIA's runtime."""

from __future__ import annotations

from pyinfra.api import deploy

from sealift.fleet.daemon_json import daemon_json
from sealift.operations.docker import daemon_configured, daemon_running
from tasks.site import site


@deploy("Docker")
def run_docker() -> None:
    """Configure the daemon, then see that it runs with that configuration.

    NVIDIA's part is merged by its own tool here and not afterwards, so that one file has one writer and a
    host with a GPU needs one restart.
    """
    here = site()
    daemon_configured(
        name="Configure the Docker daemon",
        base=daemon_json(here.settings.docker),
        nvidia="gpu" in here.groups,
    )
    daemon_running(name="Run the Docker daemon with its configuration")
