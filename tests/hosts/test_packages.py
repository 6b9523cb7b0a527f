"""What apt and dpkg say."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from sealift.evidence.expectations import Expectations
from tests.hosts.commands import output


def installed(host: Host) -> dict[str, str]:
    listed = output(host, "dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\\n'")
    rows = (line.split() for line in listed.splitlines())
    return {row[0]: row[1] for row in rows if row[-1] == "installed"}


def test_packages_have_the_versions_of_the_lock(host: Host, expected: Expectations) -> None:
    """Every package of the release is installed in the version that the lock pins."""
    found = installed(host)
    wrong = {
        name: f"{found.get(name, 'not installed')}, expected {version}"
        for name, version in expected.packages.items()
        if found.get(name) != version
    }
    assert not wrong


def test_no_package_is_half_installed(host: Host) -> None:
    """No package is half installed or half configured."""
    assert output(host, "dpkg --audit") == ""


@pytest.mark.off("gpu")
def test_no_gpu_toolkit(host: Host) -> None:
    """A host without a GPU has no NVIDIA container toolkit."""
    assert [name for name in installed(host) if name.startswith("nvidia-container-")] == []
    assert not host.exists("nvidia-ctk")
