"""What a host's Docker says, as the host tells it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sealift.host.engine import CONTAINERS, IMAGES, INFO, NETWORKS, POLICIES, line

MODELS = "models:sealift-ollama:11434"
SERVER = {"DockerRootDir": "/var/lib/docker", "LiveRestoreEnabled": False, "DriverStatus": None}


def container(project: str, state: str, health: str = "", image: str = "", **more: Any) -> dict[str, Any]:
    """As Docker lists it; its ID is its name. + more: labels, and what else differs."""
    labels = {"com.docker.compose.project": project} if project else {}
    up = f"Up 5 minutes ({'health: starting' if health == 'starting' else health})"
    name = more.pop("name", f"{project}-1")
    return {
        "Id": name,
        "Names": [f"/{name}"],
        "ImageID": image,
        "Labels": {**labels, **more.pop("labels", {})},
        "State": state,
        "Status": up if health else "Exited (0) 5 minutes ago",
        "Ports": [],
        **more,
    }


def listed(*containers: Mapping[str, Any]) -> str:
    """The line that tells all containers."""
    return line(CONTAINERS, f"all {json.dumps(containers)}")


def policy(name: str, of: str) -> str:
    """The line that tells when a container starts again."""
    return line(POLICIES, f"{name} {of}")


def server(**differs: Any) -> str:
    """The line that tells how Docker is."""
    return line(INFO, json.dumps({**SERVER, **differs}))


def image(image_id: str, *names: str, layers: tuple[str, ...] = ()) -> str:
    """The line that tells an image."""
    rootfs: dict[str, Any] = {"Type": "layers"} | ({"Layers": layers} if layers else {})
    return line(IMAGES, json.dumps({"Id": image_id, "RepoTags": names or None, "RootFS": rootfs}))


def networks(*names: str) -> str:
    """The line that tells all networks."""
    return line(NETWORKS, json.dumps([{"Name": name} for name in names]))


def loaded(*names: str, runners: int = 1) -> str:
    """The lines that tell the names of one model in memory."""
    said = json.dumps({"models": [{"name": name, "digest": "6f2c"} for name in names]})
    return f"{line(MODELS, f'loaded {said}')}\n{line(MODELS, f'runners {runners}')}"


def failed(role: str, why: str) -> str:
    """The line that tells why a role does not answer."""
    return line(MODELS, f"failed {role} {why}")
