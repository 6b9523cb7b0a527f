"""What the Docker daemon does, whatever its configuration file says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

from sealift.evidence.expectations import Expectations
from sealift.host.daemon_json import daemon_json_mode
from tests.hosts.commands import output
from tests.hosts.containers import Inspected

DAEMON_JSON = "/etc/docker/daemon.json"
ENGINES = ("docker.io", "docker-ce")


@pytest.fixture(scope="session")
def info(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output(host, "docker info --format '{{json .}}'"))
    return found


def test_docker_runs_and_starts_at_boot(host: Host) -> None:
    """Docker runs, and starts when the host does."""
    assert host.service("docker").is_running
    assert host.service("docker").is_enabled


def test_docker_is_the_locks(info: dict[str, Any], expected: Expectations) -> None:
    """The Docker daemon that runs is the one that the release installs."""
    # such as 26.1.5+dfsg1-9 of docker.io, and 5:26.1.5-1~debian.13~trixie of docker-ce
    (version,) = [expected.packages[name] for name in ENGINES if name in expected.packages]
    assert version.rpartition(":")[2].startswith(info["ServerVersion"].partition("+")[0])


def test_docker_keeps_its_data_on_its_disk(host: Host, info: dict[str, Any], expected: Expectations) -> None:
    """Docker has images and containers in the folder that the inventory says."""
    assert info["DockerRootDir"] == output(host, "realpath %s", expected.docker.data)


def test_a_login_is_for_root_alone(host: Host, expected: Expectations) -> None:
    """Docker's configuration is root's, and nobody else reads it where a proxy's login is in it."""
    mode = output(host, "stat -c '%%U:%%G %%a' %s", DAEMON_JSON)
    assert mode == f"root:root {daemon_json_mode(expected.docker)}"


def test_containers_survive_a_restart_of_docker(info: dict[str, Any]) -> None:
    """Containers go on while Docker itself is restarted."""
    assert info["LiveRestoreEnabled"] is True


def test_logs_are_limited(container: Inspected, expected: Expectations) -> None:
    """Docker keeps a bounded amount of each container's log."""
    options = container["HostConfig"]["LogConfig"]["Config"]
    assert (options.get("max-size"), options.get("max-file")) == (
        expected.docker.log_max_size,
        str(expected.docker.log_max_file),
    )


@pytest.mark.on("gpu")
def test_docker_gives_out_devices_by_cdi(info: dict[str, Any]) -> None:
    """Docker reads CDI specifications, by which containers get the GPU."""
    assert info["CDISpecDirs"]
