"""The GPU of hosts in the group `gpu`, or in a lab the device that stands in for one."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from sealift.evidence.expectations import Expectations
from tests.hosts.commands import output
from tests.hosts.containers import find_container
from tests.hosts.gateway_client import Gateway
from tests.hosts.properties import RecordProperty

pytestmark = pytest.mark.on("gpu")


def test_toolkit_is_the_locks(host: Host, expected: Expectations) -> None:
    """The NVIDIA container toolkit that runs is the one that the lock pins."""
    version = expected.packages["nvidia-container-toolkit-base"].partition("-")[0]
    assert f"version {version}" in output(host, "nvidia-ctk --version")


def test_device_is_offered(host: Host) -> None:
    """The host offers the device nvidia.com/gpu=all by CDI."""
    assert "nvidia.com/gpu=all" in output(host, "nvidia-ctk --quiet cdi list").split()


def test_ollama_asks_for_the_device(host: Host) -> None:
    """Ollama's container asks for the device nvidia.com/gpu=all."""
    asked = find_container(host, "ollama")["HostConfig"]["DeviceRequests"]
    assert [request["DeviceIDs"] for request in asked if request["Driver"] == "cdi"] == [
        ["nvidia.com/gpu=all"]
    ]


@pytest.mark.on("stand-in gpu")
def test_ollama_has_the_stand_in(host: Host) -> None:
    """Ollama's container has the stand-in device, which is no GPU: its mark is in Ollama's environment."""
    process = find_container(host, "ollama")["State"]["Pid"]
    environment = output(host, "tr '\\0' '\\n' < /proc/%s/environ", str(process)).splitlines()
    assert "SEALIFT_STAND_IN_GPU=1" in environment


def test_devices_open_in_the_running_container(host: Host, record_property: RecordProperty) -> None:
    """Every device that the host offers can be opened in Ollama's running container.

    A node that is there can still be barred: some runtimes lose a device with `systemctl daemon-reload`.
    """
    nodes = output(host, "grep -ohE '/dev/[a-zA-Z0-9/_-]+' /etc/cdi/*.yaml | sort -u").split()
    container = find_container(host, "ollama")["Id"]
    seen = [node for node in nodes if host.run("docker exec %s test -c %s", container, node).rc == 0]
    record_property("opened", ", ".join(seen))
    assert seen
    for node in seen:
        output(host, "docker exec %s bash -c ': <%s'", container, node)


@pytest.mark.on("real gpu")
def test_ollama_sees_the_gpu(host: Host, record_property: RecordProperty) -> None:
    """Ollama's container has every device node that the host's CDI specification offers.

    nvidia-smi is not asked: it lies outside of PATH on some hosts whose GPU works.
    """
    offered = output(host, "grep -ohE '/dev/nvidia[a-z0-9/-]*' /etc/cdi/nvidia.yaml | sort -u").split()
    process = str(find_container(host, "ollama")["State"]["Pid"])
    seen = output(host, "cd /proc/%s/root && find dev -path 'dev/nvidia*' -type c", process).split()
    record_property("seen", ", ".join(sorted(seen)))
    assert offered and {f"/{path}" for path in seen} >= set(offered)


@pytest.mark.on("real gpu")
def test_models_are_on_the_gpu(
    gateway: Gateway, role: str, expected: Expectations, record_property: RecordProperty
) -> None:
    """The role's model is in the GPU's memory as a whole: none of it fell back to the processor."""
    assert gateway.load(expected, role, stream=False).status_code == 200
    model = gateway.loaded(expected, role)
    record_property("bytes", f"{model['size_vram']} of {model['size']} on the GPU")
    assert model["size_vram"] == model["size"] > 0
