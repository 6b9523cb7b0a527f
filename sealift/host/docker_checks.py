"""Whether a host's own Docker configuration would be lost: nothing of the site's goes without a word."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from sealift.errors import SealiftError, one_line
from sealift.files import parse_json
from sealift.host.daemon_json import daemon_json
from sealift.host.settings import DockerSettings

# Which setting says what a key of daemon.json says.
_SETTINGS: Mapping[str, str] = {
    "data-root": "docker.data_root",
    "insecure-registries": "docker.insecure_registries",
    "registry-mirrors": "docker.registry_mirrors",
    "proxies": "docker.proxies",
    "default-runtime": "docker.default_runtime",
}
# What NVIDIA's toolkit adds on hosts of the group gpu, and sealift has it add.
_TOOLKITS = frozenset({"runtimes", "features"})


def daemon_problems(text: str, docker: DockerSettings) -> Iterator[tuple[str, str, str]]:
    """What keeps a host's daemon.json from being replaced: what, what was expected, what to do.

    + text: the file on one line; empty where there is none
    """
    if not text.strip():
        return
    try:
        found = parse_json(text.encode(), "/etc/docker/daemon.json")
    except SealiftError:
        found = None
    if not isinstance(found, dict):
        yield (
            "its /etc/docker/daemon.json is no JSON object",
            "one, or no such file",
            "Look at it, and move it away.",
        )
        return
    ours = json.loads(daemon_json(docker))
    for key, value in found.items():
        if key in _TOOLKITS or (key in ours and key not in _SETTINGS):
            continue
        if key not in ours:
            setting = _SETTINGS.get(key)
            said = "***" if key == "proxies" else one_line(json.dumps(value))[:80]  # a login may be in it
            yield (
                f"its /etc/docker/daemon.json says {one_line(key)[:40]}: {said}, which would be lost",
                "what the inventory says",
                f"Set {setting} in the inventory." if setting else "Take it out of that file, if it may go.",
            )
        elif ours[key] != value:
            yield (
                f"its /etc/docker/daemon.json says another {key}",
                f"{'that' if key == 'proxies' else json.dumps(ours[key])}, as {_SETTINGS[key]} says",
                "Correct one of the two: another data root would hide the containers that the host has."
                if key == "data-root"
                else "Correct one of the two.",
            )
