"""The Docker daemon's configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sealift.host.settings import DockerSettings


def daemon_json(docker: DockerSettings) -> str:
    """The text of /etc/docker/daemon.json.

    Source of the keys: https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file. `iptables`
    and `hosts` are left alone on purpose: without its own rules Docker isolates nothing, and `hosts` collides
    with the `-H` of systemd's unit.
    """
    asked = {
        "data-root": docker.data_root,
        "default-runtime": docker.default_runtime,
        "insecure-registries": list(docker.insecure_registries),
        "proxies": docker.proxies,
        "registry-mirrors": list(docker.registry_mirrors),
    }
    return _text(
        {
            **{key: value for key, value in asked.items() if value},
            "default-address-pools": [{"base": docker.address_pool, "size": 24}],
            "icc": False,  # containers on the default bridge do not reach each other
            "live-restore": True,  # containers go on while dockerd restarts
            "log-driver": "json-file",
            "log-opts": {"max-file": str(docker.log_max_file), "max-size": docker.log_max_size},
            "no-new-privileges": True,
            "userland-proxy": False,
        }
    )


def daemon_json_mode(docker: DockerSettings) -> str:
    """Its mode, octal: a login in a proxy's address is for root alone."""
    return "600" if docker.has_login else "644"


def for_toolkit(docker: DockerSettings) -> str:
    """The text for NVIDIA's tool to merge into, which gets it in a command: there is no login in it."""
    return daemon_json(docker.model_copy(update={"proxies": {}}))


def merged_daemon_json(merged: str, docker: DockerSettings) -> str:
    """What becomes of the JSON object that NVIDIA's tool gives back."""
    if not docker.proxies:
        return merged
    return _text({**json.loads(merged), "proxies": docker.proxies})


def _text(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=4, sort_keys=True) + "\n"
