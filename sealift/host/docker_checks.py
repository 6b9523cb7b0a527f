"""Whether what a site has set up for Docker would be lost: nothing of it goes without a word."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sealift.errors import SealiftError, one_line, printable
from sealift.files import parse_json
from sealift.host import engine
from sealift.host.daemon_json import daemon_json
from sealift.host.root import STOP
from sealift.host.settings import DockerSettings
from sealift.service import PROJECT_PREFIX

# Which setting says what a key of daemon.json says; the other keys that sealift writes have none.
_SETTINGS: Mapping[str, str] = {
    "data-root": "docker.data_root",
    "insecure-registries": "docker.insecure_registries",
    "registry-mirrors": "docker.registry_mirrors",
    "proxies": "docker.proxies",
    "default-runtime": "docker.default_runtime",
    "default-address-pools": "docker.address_pool",
    "log-opts": "docker.log_max_size or docker.log_max_file",
}
# What NVIDIA's toolkit adds on hosts of the group gpu, and sealift has it add.
_TOOLKITS: Mapping[str, frozenset[str]] = {"runtimes": frozenset({"nvidia"}), "features": frozenset({"cdi"})}
# Keys that sealift writes only where the inventory asks: what a host says there is somebody's wish.
_ASKED = frozenset({"data-root", "insecure-registries", "registry-mirrors", "proxies", "default-runtime"})

# Source: "Use a restart policy", docs.docker.com/engine/containers/start-containers-automatically/
_COME_BACK = frozenset({"always", "unless-stopped"})

_Found = Iterator[tuple[str, str, str]]  # what, expected, remedy


@dataclass(frozen=True)
class HostDocker:
    """What a host has of Docker before anything is changed on it.

    + deployed: whether sealift has activated a generation there
    + daemon_json: the daemon's configuration, on one line
    + origins: by path, who wrote a configuration: `sealift`, `package` or `site`
    + data_root: where the daemon that runs has its data, links resolved; empty where none runs
    + wanted_root: where the daemon will have it, links resolved; empty where none runs
    + all_containers: names, of those that do not run as well
    + ending: names of those of the site's own that run and would not come back after a restart of Docker
    + live_restore: whether containers go on while the daemon that runs is restarted
    + snap: whether it has Docker as a snap
    """

    deployed: bool = False
    daemon_json: str = ""
    origins: Mapping[str, str] | None = None
    data_root: str = ""
    wanted_root: str = ""
    all_containers: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()
    live_restore: bool = False
    snap: bool = False

    def is_the_sites(self, path: str) -> bool:
        """Whether the site wrote a configuration, or edited it since."""
        return (self.origins or {}).get(path) == "site"


def parse_docker(found: Mapping[str, list[str]], told: Mapping[str, list[str]]) -> HostDocker:
    """What a probe found.

    + found: values of probe.sh by key
    + told: Docker's answers

    Raises ValueError, TypeError or LookupError where these are none.
    """

    def one(key: str) -> str:
        return next(iter(found.get(key, [])), "")

    info: dict[str, Any] = {"DockerRootDir": "", "LiveRestoreEnabled": False}
    for answer in told.get(engine.INFO, []):
        info = json.loads(answer)
    return HostDocker(
        deployed=one("deployed") == "yes",
        daemon_json=one("daemon_json"),
        origins=dict(line.partition(" ")[::2] for line in found.get("configuration", [])),
        data_root=info["DockerRootDir"],
        wanted_root=one("docker_data"),
        all_containers=tuple(printable(seen.name) for seen in engine.containers(told)),
        ending=tuple(map(printable, _ending(told))),
        live_restore=info["LiveRestoreEnabled"],
        snap=one("docker_snap") == "yes",
    )


def _ending(told: Mapping[str, list[str]]) -> Iterator[str]:
    """Names of running containers of others that do not come back by themselves."""
    policies = dict(line.partition(" ")[::2] for line in told.get(engine.POLICIES, []))
    for seen in engine.containers(told):
        runs = seen.state in ("running", "paused", "restarting")
        if runs and policies.get(seen.id) not in _COME_BACK and not seen.project.startswith(PROJECT_PREFIX):
            yield seen.name


def docker_problems(found: HostDocker, docker: DockerSettings, gpu: bool) -> _Found:
    """What keeps a host's Docker from being configured: what, what was expected, what to do.

    + gpu: whether the host is of the group gpu
    """
    if found.snap:
        yield (
            "has Docker as a snap",
            "no container engine but the release's own",
            "Remove: snap remove docker (it keeps a snapshot; `snap saved` lists it)",
        )
    if docker.default_runtime == "nvidia" and not gpu:
        yield (
            "has no runtime nvidia, which docker.default_runtime names",
            "the group gpu",
            "Put it into that group, or set docker.default_runtime for the group gpu alone.",
        )
    moved = tuple(_data_root(found, docker))
    yield from moved
    yield from _stopping(found)
    if found.is_the_sites("/etc/docker/daemon.json"):
        yield from _daemon_json(found, docker, gpu, told={"data-root"} if moved else set())
    if found.is_the_sites("/etc/containerd/config.toml") and not found.deployed:
        yield (
            "its /etc/containerd/config.toml is of the site's own, which would be lost",
            "the one of its package, or none",
            "Does anything but Docker use containerd, such as Kubernetes? Then take another host."
            " Else move the file away.",
        )


def _data_root(found: HostDocker, docker: DockerSettings) -> _Found:
    """Containers under another data root go on, but Docker knows them no more."""
    wanted = docker.data
    if found.data_root and found.data_root != found.wanted_root and found.all_containers:
        names, moved = sorted(found.all_containers), shlex.quote(one_line(found.data_root)[:200])
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        yield (
            f"its Docker has its data in {one_line(found.data_root)[:200]}, with the containers"
            f" {one_line(', '.join(names[:5]))[:200]}{more}, which would be out of its sight",
            f"{wanted}, as docker.data_root or data_folder says",
            "Set docker.data_root to the former, or remove these containers first. To take all of it along:"
            f" {STOP}; mv -T {moved} {wanted}",
        )


def _stopping(found: HostDocker) -> _Found:
    """The configuration that we write has live-restore: a daemon without it is restarted, once."""
    if found.ending and not found.live_restore:
        names = " ".join(one_line(name)[:100] for name in sorted(found.ending))
        yield (
            f"its Docker must restart to read its configuration, which ends the containers {names}",
            "containers that start again by themselves",
            f"Stop them first, or give them a policy: docker update --restart unless-stopped {names}",
        )


def _daemon_json(found: HostDocker, docker: DockerSettings, gpu: bool, told: set[str]) -> _Found:
    if not found.daemon_json.strip():
        return
    try:
        content = parse_json(found.daemon_json.encode(), "/etc/docker/daemon.json")
    except SealiftError:
        content = None
    if not isinstance(content, dict):
        yield (
            "its /etc/docker/daemon.json is no JSON object",
            "one, or no such file",
            "Look at it, and move it away.",
        )
        return
    ours = json.loads(daemon_json(docker))
    for key, value in content.items():
        # A host that sealift has deployed had our values: one that is another is mended, and told by status.
        if key in told or (found.deployed and key in ours.keys() - _ASKED):
            continue
        lost = _lost(
            value, ours.get(key), _TOOLKITS.get(key, frozenset()) if gpu or found.deployed else frozenset()
        )
        if lost is not None:
            yield _told(key, lost, ours)


def _lost(value: object, ours: object, added: frozenset[str]) -> object:
    """What a value says that would be said no more; None where nothing is lost.

    + ours: what sealift says there; None where it says nothing
    + added: names in a table that come back by themselves
    """
    if not isinstance(value, dict):
        return None if value == ours else value
    same = ours if isinstance(ours, dict) else {}
    lost = {
        name: each
        for name, each in value.items()
        if name not in added and (name not in same or same[name] != each)
    }
    return lost or None


def _told(key: str, lost: object, ours: Mapping[str, object]) -> tuple[str, str, str]:
    file, setting = "its /etc/docker/daemon.json", _SETTINGS.get(key)
    said = "***" if key == "proxies" else one_line(json.dumps(lost))[:80]  # a login may be in it
    if key in ours:
        wanted = "that" if key == "proxies" else json.dumps(ours[key])
        return (
            f"{file} says another {key}: {said}",
            f"{wanted}, as {setting or 'sealift'} says",
            "Correct one of the two." if setting else "Take it out of that file, if it may go.",
        )
    return (
        f"{file} says {one_line(key)[:40]}: {said}, which would be lost",
        "what the inventory says",
        f"Set {setting} in the inventory." if setting else "Take it out of that file, if it may go.",
    )
