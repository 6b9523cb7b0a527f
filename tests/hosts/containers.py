"""The container of a service, as Docker has it."""

from __future__ import annotations

import json
from typing import Any

from testinfra.host import Host

from tests.hosts.commands import output

Inspected = dict[str, Any]


def find_container(host: Host, service: str) -> Inspected:
    """What `docker inspect` says of the one container of a service."""
    label = "label=com.docker.compose"
    filters = f"--filter {label}.project=sealift-{service} --filter {label}.service={service}"
    ids = output(host, f"docker ps --all --quiet --no-trunc {filters}").split()
    assert len(ids) == 1, f"{len(ids)} containers of {service}, expected one"
    found: list[Inspected] = json.loads(output(host, "docker inspect %s", ids[0]))
    return found[0]
