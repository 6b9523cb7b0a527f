"""Which release the host says it runs."""

from __future__ import annotations

import json

from testinfra.host import Host

from sealift.evidence.expectations import Expectations
from sealift.host_paths import CURRENT, GENERATIONS, PARTIAL, ROOT
from tests.hosts.commands import output


def test_current_generation_is_of_the_bundle(host: Host, expected: Expectations) -> None:
    """The active generation was made from the release and the bundle that this evidence names."""
    assert json.loads(output(host, "cat %s", f"{CURRENT}/release.json")) == {
        "release": expected.release,
        "bundle": expected.bundle,
        "roles": {name: role.model for name, role in expected.roles.items()},
    }


def test_services_are_of_the_current_generation(host: Host, service: str) -> None:
    """The service was started with the configuration of the generation that is active."""
    spec = output(
        host,
        "docker ps --filter %s --format %s",
        f"label=com.docker.compose.project=sealift-{service}",
        '{{.Label "io.sealift.spec"}}',
    )
    assert spec.startswith("sha256:")
    assert f'io.sealift.spec: "{spec}"' in output(host, "cat %s", f"{CURRENT}/{service}/compose.yaml")
    assert output(host, "realpath %s", CURRENT).startswith(f"{output(host, 'realpath %s', GENERATIONS)}/")


def test_the_store_lies_on_its_disk(host: Host, expected: Expectations) -> None:
    """The host store lies in the folder that the inventory says."""
    real, wanted = output(host, "realpath %s %s", ROOT, expected.root).splitlines()
    assert real == wanted


def test_nothing_is_half_shipped(host: Host) -> None:
    """No blob of the release is still on its way into the host store."""
    assert output(host, f"if [ -e {PARTIAL} ]; then find {PARTIAL} -type f; fi") == ""


def test_secrets_are_readable_by_root_only(host: Host, service: str, expected: Expectations) -> None:
    """Configuration of the service with keys in it is readable by root only."""
    for name in expected.services[service].private:
        file = host.file(f"{CURRENT}/{service}/{name}")
        assert f"{name}: {file.user} {file.mode:o}" == f"{name}: root 600"
