"""The Docker daemon's configuration."""

from __future__ import annotations

import json

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
    text = json.dumps(
        {
            **{key: value for key, value in asked.items() if value},
            "default-address-pools": [{"base": docker.address_pool, "size": 24}],
            "icc": False,  # containers on the default bridge do not reach each other
            "live-restore": True,  # containers go on while dockerd restarts
            "log-driver": "json-file",
            "log-opts": {"max-file": str(docker.log_max_file), "max-size": docker.log_max_size},
            "no-new-privileges": True,
            "userland-proxy": False,
        },
        indent=4,
        sort_keys=True,
    )
    return f"{text}\n"
