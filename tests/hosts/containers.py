"""The container of a service, as Docker has it."""

from __future__ import annotations

import json
import re
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


_TROUBLE = re.compile(r"level=(WARN|ERROR)|\bSIG[A-Z]+:|signal:|panic:|more system memory|out of memory")
_SHOWN = 3  # lines


def complaints(host: Host, service: str) -> str:
    """What the log of a service says went wrong: the last such lines."""
    said = host.run("docker logs --tail 2000 %s", find_container(host, service)["Id"])
    return "\n".join(troubles(f"{said.stdout}\n{said.stderr}"))


def troubles(log: str) -> list[str]:
    """The last lines of a log that are about trouble, each once."""
    found = dict.fromkeys(line.strip()[:300] for line in log.splitlines() if _TROUBLE.search(line))
    return list(found)[-_SHOWN:]
