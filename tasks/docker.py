"""Docker as the site configures it; on hosts with a GPU, together with NVIDIA's runtime."""

from __future__ import annotations

from pathlib import Path

from pyinfra.api import deploy

from sealift.facts.docker import CONTAINERD_TOML, DAEMON_JSON
from sealift.host.gpus import GPU
from sealift.host.wanted import Wanted
from sealift.operations.docker import containerd_configured, daemon_configured, daemon_running

_FILES = Path(__file__).parent.parent / "files" / "containerd"


@deploy("Docker")
def run_docker(wanted: Wanted) -> None:
    """Configure the daemons, then see that they run with that configuration: containerd, then dockerd.

    NVIDIA's part is merged by its own tool here and not afterwards, so that one file has one writer and a
    host with a GPU needs one restart.
    """
    containerd_configured(name="Configure containerd", content=(_FILES / "config.toml").read_text())
    daemon_running(
        name="Run containerd with its configuration",
        unit="containerd.service",
        configuration=CONTAINERD_TOML,
    )
    daemon_configured(
        name="Configure the Docker daemon",
        docker=wanted.settings.docker,
        nvidia=GPU in wanted.groups,
    )
    daemon_running(
        name="Run the Docker daemon with its configuration",
        unit="docker.service",
        configuration=DAEMON_JSON,
    )
