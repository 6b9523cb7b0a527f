"""What a host is before anything is changed on it, as probe.sh tells it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from sealift.errors import SealiftError, one_line, printable
from sealift.host import engine
from sealift.host.docker_checks import HostDocker, parse_docker
from sealift.host.gpus import Gpus, parse_gpus
from sealift.host.key_values import key_values
from sealift.host.root import HostRoot, parse_root
from sealift.host.settings import SiteSettings

_ROOM, PROBE = (
    resources.files("sealift.host").joinpath(name).read_text() for name in ("room.sh", "probe.sh")
)
QUESTIONS = (engine.INFO, engine.IMAGES, engine.CONTAINERS, engine.POLICIES)  # to its Docker


def probe(settings: SiteSettings) -> str:
    """The scripts, as a host with these settings is to be asked."""
    return f"{probe_script(settings)}\n{engine.asking(QUESTIONS)}"


def probe_script(settings: SiteSettings) -> str:
    """All of it but the questions to Docker, for those who put more of these."""
    return f"{room_script(settings)}\n{PROBE}"


def room_script(settings: SiteSettings) -> str:
    """What goes before it, and is enough for `parse_room`."""
    return f"set -- {shlex.join((settings.root, settings.docker.data))}\n{_ROOM}"


_HOLDS_PORTS = ("running", "paused", "restarting")  # states of containers


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
class HostRoom:
    """What decides what a host is to be.

    + memory: bytes
    + root_folder: what stands where sealift's folder is to be
    """

    memory: int
    root_folder: HostRoot
    gpus: Gpus


@dataclass(frozen=True)
class HostFacts(HostRoom):
    """A host before anything is changed on it.

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
    store_disk: Disk
    docker_disk: Disk
    clock: int
    own: frozenset[str]
    rollout: str
    listeners: tuple[Listener, ...]
    packages: frozenset[str]
    containers: tuple[RunningContainer, ...]
    images: frozenset[str]
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


def parse_room(host: str, text: str) -> HostRoom:
    """Parse what room.sh prints; lines of other kinds are passed over.

    Raises SealiftError where it is not whole.
    """
    found = key_values(text)
    try:
        found["room"]
        memory = _number(found["memory"][0])
        return HostRoom(memory, parse_root(found), parse_gpus(found.get("gpu", [])))
    except (LookupError, ValueError) as error:
        raise _silent(host, error) from None


def _silent(host: str, error: Exception) -> SealiftError:
    return SealiftError(
        f"{host}: does not say what it is ({error}), expected a Debian with coreutils. "
        "Run sealift/host/probe.sh there by hand."
    )


def parse_probe(host: str, text: str) -> HostFacts:
    """Parse what a probe prints; lines of other kinds are passed over.

    Raises SealiftError where it is not whole.
    """
    found = key_values(text)

    def many(key: str) -> list[str]:
        return found.get(key, [])

    def one(key: str) -> str:
        return found[key][0]

    try:
        one("end")
        told = engine.answers(text.split("\n"))
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
            containers=tuple(
                RunningContainer(printable(seen.project), printable(seen.name), seen.ports)
                for seen in engine.containers(told)
                if seen.state in _HOLDS_PORTS
            ),
            images=engine.image_ids(told),
            gpus=parse_gpus(many("gpu")),
            docker=parse_docker(found, told),
        )
    except engine.EngineError as error:
        raise SealiftError(f"{host}: {error}") from None
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _silent(host, error) from None


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
