"""What goes wrong in the middle of apply is told by host and cause; nothing stays half done."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from tests.lab.commands import Commands
from tests.lab.conftest import Site
from tests.lab.test_repair import ENVOY, differs

pytestmark = pytest.mark.exhaustive

# While an image is loaded, dockerd has it in a folder of this name.
LOADING = "until ls -d /var/lib/docker/tmp/docker-import-* 2>/dev/null; do sleep 0.02; done"
CUT = f"{LOADING}; pkill -KILL sshd-session"
FILL = f"""\
{LOADING}
fallocate -l 1G /var/lib/docker/filler
dd if=/dev/zero of=/var/lib/docker/filler bs=1M oflag=append conv=notrunc
"""
DOCKER = """\
systemctl stop docker.socket docker
{} /var/lib/docker
systemctl reset-failed
systemctl start docker
"""
LEFT = "docker images --all --quiet; ls -d /var/lib/docker/tmp/docker-import-* /var/lib/sealift/.load.*"


def meanwhile(commands: Commands, script: str) -> None:
    """Have a script run on h2 beside what follows."""
    quoted = shlex.quote(script.replace("$", "$$"))
    commands.on("h2", f"systemctl reset-failed; systemd-run -q --unit=fault sh -c {quoted}")


@pytest.fixture
def small_disk(site: Site, commands: Commands) -> Iterator[None]:
    """Docker of h2 has a disk of its own, with room for its images and little more."""
    commands.on("h2", DOCKER.format("mount -t tmpfs -o size=1500m tmpfs"))
    yield
    commands.on("h2", DOCKER.format("umount"))
    commands.ok("sealift", "apply", "lab")


def test_a_disk_that_fills_while_an_image_is_loaded(commands: Commands, small_disk: None) -> None:
    meanwhile(commands, FILL)
    refused = commands.refused("sealift", "apply", "lab", "--limit", "h2")
    assert "h2: has no space left, at 'Images | Load image" in refused.said
    assert "/var/lib/docker: no space left on device, " in refused.said and "Make room there" in refused.said
    assert commands.on("h2", f"{{ {LEFT}; }} 2>/dev/null; true") == ""
    commands.on("h2", "systemctl stop fault; rm /var/lib/docker/filler")
    commands.ok("sealift", "apply", "lab", "--limit", "h2")
    assert differs(commands)["h2"] == []


def test_a_host_whose_connections_end_while_an_image_is_loaded(site: Site, commands: Commands) -> None:
    commands.on("h2", f"docker rm -f $(docker ps -q --filter ancestor={ENVOY}); docker rmi {ENVOY}")
    meanwhile(commands, CUT)
    refused = commands.refused("sealift", "apply", "lab")
    assert "h2: the connection was cut or the command there was killed" in refused.said
    assert f"at 'Images | Load image {ENVOY}'" in refused.said
    assert "Look at the host and the network: sealift status." in refused.said
    commands.ok("sealift", "apply", "lab")
    assert differs(commands) == {"h1": [], "h2": [], "h3": []}
