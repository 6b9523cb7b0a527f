"""What an entry of `sealift/services.py` says: the types of it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace

from sealift.host_paths import CURRENT, LIVE

ALL = "all"  # the group of every host
PROJECT_PREFIX = "sealift-"


@dataclass(frozen=True)
class Port:
    """A TCP port that a service publishes on every address of its host.

    + inside: the port in the container
    + setting: TABLE.KEY of the setting that says which port it is on the host; without one, `inside`
    + needs: name of an image without which a release does not have it published
    + figures: whether what it shows is read by Prometheus, and by nobody else
    """

    inside: int
    setting: str = ""
    needs: str = ""
    figures: bool = False


@dataclass(frozen=True)
class Mount:
    """What a container sees of its host.

    + source: absolute, or a file of the service's folder in the current generation
    + target: absolute, in the container
    + private: whether root alone may read the file
    + group: number of the group that may read it, too
    + writable: whether the container may change it: a folder, which is made where it is missing
    + kept: whether that holds for a folder that the container may not change
    + follows: whether the container sees what the host mounts below it later
    """

    source: str
    target: str
    private: bool = False
    group: int = 0
    writable: bool = False
    kept: bool = False
    follows: bool = False

    @property
    def mode(self) -> int:
        """Of the file in a generation, whose folders are root's alone."""
        return 0o600 if self.private else 0o640 if self.group else 0o644


@dataclass(frozen=True)
class Live:
    """Files that a service reads anew by itself whenever one is renamed into their folder.

    In a generation they are the service's folder `live`. On a host they lie in a folder of their own, which
    the container sees whole: of a file that is mounted by itself, it would not see a new one.

    + target: the folder in the container, absolute
    + versions: by file, what the service calls the version of it that it goes by
    + ask: command and arguments that print lines `NAME: "VERSION"`, run in the container
    """

    target: str
    versions: Mapping[str, str]
    ask: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """A service of a host: one Compose project with one container.

    + name: of its settings, and of its folders of templates and in a generation
    + image: name of its image in a release; its own name where empty
    + groups: the inventory groups whose hosts run it, where the release has its image for them
    + ports: that it publishes
    + mounts: what it sees of its host
    + networks: without a way out, which it shares with other services; one that publishes a port has beside
      them a network of its own, and one with neither has none
    + reaches_out: whether it has that network though it publishes none
    + beside: services, of which the first that the host runs has the network with a way out that it shares in
      place of one of its own: Docker lets nobody from one such network into another, not even by a port that
      is published on the host
    + needs: services without which the host does not run it
    + serves_models: whether the release's models are for it
    + required: whether every release has it
    + validate: entrypoint and arguments by which its image judges its configuration, which it gets over
      standard input, before it is activated
    + live: what changes without a restart
    + leaves: what stands in folders that others read, too, and goes with it; absolute, on the host
    + memory_limit_mib: MiB that the container may take, where its settings do not say
    + memory_setting: TABLE.KEY of the setting that says it; without one, `memory_limit_mib` of its own table
    """

    name: str
    image: str = ""
    groups: frozenset[str] = frozenset({ALL})
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    networks: tuple[str, ...] = ()
    reaches_out: bool = False
    beside: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    serves_models: bool = False
    required: bool = False
    validate: tuple[str, ...] = ()
    live: Live | None = None
    leaves: tuple[str, ...] = ()
    memory_limit_mib: int = 256
    memory_setting: str = ""

    @property
    def image_name(self) -> str:
        """The name of its image in a release."""
        return self.image or self.name

    @property
    def project(self) -> str:
        """Compose's name of it."""
        return f"{PROJECT_PREFIX}{self.name}"

    @property
    def compose_file(self) -> str:
        """Its Compose file on the host."""
        return f"{CURRENT}/{self.name}/compose.yaml"

    def source(self, mount: Mount) -> str:
        """Where a mount's source lies on the host."""
        return mount.source if mount.source.startswith("/") else f"{CURRENT}/{self.name}/{mount.source}"

    @property
    def binds(self) -> tuple[Mount, ...]:
        """What its container sees of its host, with absolute sources."""
        live = (Mount(f"{LIVE}/{self.name}", self.live.target),) if self.live else ()
        return (*(replace(mount, source=self.source(mount)) for mount in self.mounts), *live)

    @property
    def files(self) -> tuple[str, ...]:
        """Files of its folder in a generation that its container sees."""
        return tuple(mount.source for mount in self.mounts if not mount.source.startswith("/"))

    @property
    def folders(self) -> tuple[str, ...]:
        """Those of its host that are made for it."""
        return tuple(self.source(mount) for mount in self.mounts if mount.writable or mount.kept)

    def ports_with(self, images: Container[str]) -> tuple[Port, ...]:
        """Those of its ports that a release has published.

        + images: names of the release's images
        """
        return tuple(port for port in self.ports if not port.needs or port.needs in images)

    def outer(self, running: Iterable[str]) -> str:
        """The project whose network with a way out it is in.

        + running: names of the services that the host runs
        """
        names = set(running)
        return next((f"{PROJECT_PREFIX}{name}" for name in self.beside if name in names), self.project)


def in_groups(groups: frozenset[str], wanted: Iterable[str]) -> bool:
    """Whether what is meant for some groups is for a host.

    + groups: the host's, in the inventory
    + wanted: those that it is meant for
    """
    return not (groups | {ALL}).isdisjoint(wanted)
