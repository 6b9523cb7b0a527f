"""What a host is before anything is changed on it, as probe.sh tells it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from sealift.errors import SealiftError, one_line
from sealift.host.docker_checks import HostDocker, parse_docker
from sealift.host.gpus import Gpus, parse_gpus
from sealift.host.key_values import key_values
from sealift.host.root import HostRoot, parse_root
from sealift.host.settings import SiteSettings

PROBE = resources.files("sealift.host").joinpath("probe.sh").read_text()


def probe(settings: SiteSettings) -> str:
    """The script, as a host with these settings is to be asked."""
    return f"set -- {shlex.join((settings.root, settings.docker.data))}\n{PROBE}"


@dataclass(frozen=True)
class Disk:
    """A file system: the number of its device and the bytes free on it."""

    device: int
    free: int


@dataclass(frozen=True)
class Listener:
    """A TCP port that something listens on; the process's name where it is known."""

    port: int
    process: str


@dataclass(frozen=True)
class RunningContainer:
    """A running container: its Compose project, its name, and the host's ports it has."""

    project: str
    name: str
    ports: frozenset[int]


@dataclass(frozen=True)
class HostFacts:
    """A host before anything is changed on it.

    + memory: bytes
    + root_folder: what stands where sealift's folder is to be
    + store_disk: of the host store, where it will lie
    + docker_disk: of Docker's images, where they will lie
    + clock: seconds since 1970
    + own: what no other machine has: `machine-id HASH`, `SSH-key KEY`
    + rollout: the line in its rollout lock; empty where it has none
    + packages: that are installed
    + images: IDs of those that Docker has
    + docker: what it has of Docker
    """

    os: str
    suite: str
    architecture: str
    root: bool
    systemd: bool
    memory: int
    root_folder: HostRoot
    store_disk: Disk
    docker_disk: Disk
    clock: int
    own: frozenset[str]
    rollout: str
    listeners: tuple[Listener, ...]
    packages: frozenset[str]
    containers: tuple[RunningContainer, ...]
    images: frozenset[str]
    gpus: Gpus
    docker: HostDocker


def shell_problems(host: str, said: str) -> Iterator[str]:
    """What a host's shell prints before it is asked anything: pyinfra would take it for answers.

    + said: what the probe printed, with what came before
    """
    noise = said.partition("begin=")[0].strip().splitlines()
    if noise:
        yield (
            f"{host}: its shell prints {one_line(noise[0])[:60]!r} before any answer, expected nothing where "
            "nobody is at a terminal. Look into ~/.bashrc and /etc/bash.bashrc of who logs in there, "
            "and put this in front of that line: case $- in *i*) ;; *) return ;; esac"
        )


def parse_probe(host: str, text: str) -> HostFacts:
    """Parse what PROBE prints; lines of other kinds are passed over.

    Raises SealiftError where it is not whole.
    """
    found = key_values(text)

    def many(key: str) -> list[str]:
        return found.get(key, [])

    def one(key: str) -> str:
        return found[key][0]

    try:
        one("end")
        return HostFacts(
            os=one("os"),
            suite=one("suite"),
            architecture=one("architecture"),
            root=one("uid") == "0",
            systemd=one("systemd") == "yes",
            memory=_number(one("memory")),
            root_folder=parse_root(found),
            store_disk=_disk(one("store_disk")),
            docker_disk=_disk(one("docker_disk")),
            clock=_number(one("clock")),
            own=frozenset(many("own")),
            rollout=next(iter(many("rollout")), ""),
            listeners=tuple(_listener(value) for value in many("listener")),
            packages=frozenset(many("package")),
            containers=tuple(_container(value) for value in many("container")),
            images=frozenset(many("image")),
            gpus=parse_gpus(many("gpu")),
            docker=parse_docker(found),
        )
    except (KeyError, ValueError) as error:
        raise SealiftError(
            f"{host}: does not say what it is ({error}), expected a Debian with coreutils. "
            "Run sealift/host/probe.sh there by hand."
        ) from None


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(f"{text[:40]!r} is no number")
    return int(text)


def _disk(value: str) -> Disk:
    device, free = value.split()
    return Disk(_number(device), _number(free))


def _listener(value: str) -> Listener:
    """`PORT users:(("sshd",pid=1,fd=3))`, the last column as ss(8) has it."""
    port, _, users = value.partition(" ")
    process = re.search(r'\(\("([^"]*)"', users)
    return Listener(_number(port), process[1] if process else "")


def _container(value: str) -> RunningContainer:
    """`PROJECT|NAME|0.0.0.0:8443->8443/tcp, ...`, the last as `docker ps` has it."""
    project, name, ports = value.split("|", 2)
    return RunningContainer(project, name, frozenset(map(int, re.findall(r":([0-9]{1,5})->", ports))))
