"""A host that a site uses already: a large disk, a Docker and containers of its own, a proxy everywhere."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.commands import Commands
from tests.lab.conftest import Site, lab_of
from tests.lab.test_preflight import inventory_with

pytestmark = pytest.mark.exhaustive

LINK = "Host store | Link sealift's folder to the data folder"
NOBODY = "http://127.0.0.1:9"  # a proxy that does not answer
PROXIES = " ".join(
    f"{name}={NOBODY}" for kind in ("http_proxy", "https_proxy", "all_proxy") for name in (kind, kind.upper())
)
LOGIN = {"http-proxy": "http://me:a-password@proxy.invalid:3128"}
CLIENT = json.dumps({"proxies": {"default": {"httpProxy": NOBODY, "httpsProxy": NOBODY}}})
# The disk and Docker as a site has them before sealift comes. In a lab /var/lib/sealift is a disk of its own.
PREPARE = f"""\
set -eu
umount /var/lib/sealift
rmdir /var/lib/sealift
mkdir -p /mnt/disk /etc/docker /root/.docker /etc/systemd/system/docker.service.d
mount -t tmpfs -o size=2g tmpfs /mnt/disk
ln -s /mnt/disk /data
mkdir /data/docker
echo '{{"data-root": "/data/docker"}}' >/etc/docker/daemon.json
printf '[Service]\\nEnvironment={PROXIES}\\n' >/etc/systemd/system/docker.service.d/proxy.conf
printf '%s\\n' {PROXIES} >>/etc/environment
echo 'export {PROXIES}' >>/root/.bashrc
echo {shlex.quote(CLIENT)} >/root/.docker/config.json
dpkg --install /var/lib/docker/debs/* >/dev/null
rm -r /var/lib/docker/debs
tar -ch -C / usr/bin/sleep lib64/ld-linux-x86-64.so.2 usr/lib/x86_64-linux-gnu/libc.so.6 | docker import - own
for name in own-web own-batch; do docker run --detach --network none --name $name own sleep infinity; done
"""
STANDS = """\
readlink /var/lib/sealift
stat -c %a /data/sealift
docker info --format '{{.DockerRootDir}}'
stat -c %a /etc/docker/daemon.json
docker ps --filter name=own --format '{{.Names}}'
"""


@pytest.fixture(scope="module")
def used(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """A lab of one host with a Docker of its own, of the release's packages, and a depot with the release."""
    for commands in lab_of(tmp_path_factory.mktemp("used") / "lab", hosts=1):
        commands.ok(
            *("sealift", "import", site.bundle, "--depot", commands.lab / "depot"),
            *("--allowed-signers", site.allowed_signers),
        )
        debs = commands.lab / "hosts/h1/docker/debs"
        debs.mkdir()
        for package in json.loads(site.lock.read_text())["packages"]:
            if "all" in package["groups"]:
                hex_ = package["blob"]["digest"].removeprefix("sha256:")
                shutil.copy(commands.lab / "depot/blobs/sha256" / hex_, debs / f"{package['name']}.deb")
        commands.on("h1", PREPARE)
        yield commands
        commands.on("h1", "docker rm --force own-web")  # it would have the host wait for it


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's, with the one setting, and a proxy for Docker that asks for a login."""
    folder = tmp_path_factory.mktemp("inventory")
    return inventory_with(folder, data_folder="/data", docker={"proxies": LOGIN})


def test_a_container_that_a_restart_of_docker_would_end_is_named_before(
    used: Commands, inventory: Path
) -> None:
    refused = used.refused("sealift", "apply", inventory)
    assert "which ends the containers own-batch own-web, expected containers that start again" in refused.said
    assert used.on("h1", "docker ps -q | wc -l; ls -A /mnt/disk").split() == ["2", "docker"]
    used.on("h1", "docker update --restart unless-stopped own-web; docker stop --time 0 own-batch")


def test_store_and_images_lie_on_the_disk_and_nothing_asks_the_proxy(used: Commands, inventory: Path) -> None:
    used.ok("sealift", "apply", inventory)
    assert "h1" in used.ok("sealift", "status", inventory).out
    assert used.changed_operations(inventory) == {"h1": []}
    used.ok("sealift", "ask", inventory, "chat", "Say something.")
    assert used.on("h1", STANDS).split() == ["/data/sealift", "755", "/mnt/disk/docker", "600", "own-web"]
    for folder in ("/mnt/disk/sealift/blobs", "/mnt/disk/docker/overlay2"):
        assert int(used.on("h1", f"du -sm {folder} | cut -f 1")) > 200
    assert used.on("h1", "find /var/lib/docker -type f").strip() == ""


def test_a_link_that_is_gone_is_told_and_made_again(used: Commands, inventory: Path) -> None:
    used.on("h1", "rm /var/lib/sealift")
    told = used.refused("sealift", "status", inventory).said
    assert "/var/lib/sealift is no link to /data/sealift" in told
    assert used.changed_operations(inventory) == {"h1": [LINK]}


def test_a_disk_that_is_not_mounted_is_told_and_not_written_to(used: Commands, inventory: Path) -> None:
    used.on("h1", "mv /data/sealift /data/away")
    try:
        refused = used.refused("sealift", "apply", inventory)
        assert "its /var/lib/sealift is a link to /data/sealift, which is not there" in refused.said
        assert used.on("h1", "ls -A /mnt/disk").split() == ["away", "docker"]
    finally:
        used.on("h1", "mv /data/away /data/sealift")
