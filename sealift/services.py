"""What runs on hosts, as data: a service is an entry here and a folder of templates, and nothing else.

Its image is one of the release's. How it is rendered, started, watched and verified follows from the entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sealift.host_paths import BUDGETS, CURRENT, LIVE, MODELS

ALL = "all"  # the group of every host


@dataclass(frozen=True)
class Port:
    """A TCP port that a service publishes on every address of its host.

    + inside: the port in the container
    + setting: the key of the service's settings that says which port it is on the host; without one, `inside`
    """

    inside: int
    setting: str | None = None


@dataclass(frozen=True)
class Mount:
    """What a container sees of its host.

    + source: absolute, or a file of the service's folder in the current generation
    + target: absolute, in the container
    + private: whether root alone may read the file
    + writable: whether the container may change it: a folder, which is made where it is missing
    """

    source: str
    target: str
    private: bool = False
    writable: bool = False


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
    + beside: the service whose network with a way out it shares in place of one of its own: Docker lets
      nobody from one such network into another, not even by a port that is published on the host
    + serves_models: whether the release's models are for it
    + required: whether every release has it
    + validate: entrypoint and arguments by which its image judges its configuration, which it gets over
      standard input, before it is activated
    + live: what changes without a restart
    + memory_limit_mib: MiB that the container may take, where its settings do not say
    """

    name: str
    image: str = ""
    groups: frozenset[str] = frozenset({ALL})
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    networks: tuple[str, ...] = ()
    beside: str = ""
    serves_models: bool = False
    required: bool = False
    validate: tuple[str, ...] = ()
    live: Live | None = None
    memory_limit_mib: int = 256

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
    def binds(self) -> tuple[tuple[str, str, bool], ...]:
        """What its container sees of its host: source there, target in the container, whether writable."""
        live = ((f"{LIVE}/{self.name}", self.live.target, False),) if self.live else ()
        return (*((self.source(mount), mount.target, mount.writable) for mount in self.mounts), *live)

    @property
    def folders(self) -> tuple[str, ...]:
        """Those of its host that its container writes to."""
        return tuple(self.source(mount) for mount in self.mounts if mount.writable)


PROJECT_PREFIX = "sealift-"
INNER = "sealift-inner"  # where the gateway meets what it stands before

ADMIN_PORT = 9901  # of Envoy, on loopback in its container
# An Envoy image has no client but bash.
_ADMIN = (
    "exec 3<>/dev/tcp/127.0.0.1/{port} && "
    r"printf 'GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3"
    " && "
    r"""mapfile -t <&3 && printf '%s\n' "${{MAPFILE[@]}}" """
)


def asking_envoy(path: str) -> tuple[str, ...]:
    """Command and arguments that print what Envoy's admin interface says, in its container."""
    return ("bash", "-c", _ADMIN.format(port=ADMIN_PORT, path=path))


_VERSIONS = asking_envoy("/stats?filter=version_text")
# Live files of the gateway and of the front door.
LISTENER = "listener.yaml"
KEYS = "keys.yaml"
LIMITS = "limits.yaml"
ALLOWED = "allowed.yaml"
CLUSTERS = "clusters.yaml"
GUARD = "guard.yaml"
BUDGET = "budget.yaml"
TLS = "tls.yaml"
CA = "ca.yaml"
HOSTS = "hosts.yaml"

_LIVE = {
    LISTENER: "listener_manager.lds.version_text",
    KEYS: "extension_config_discovery.http_filter.keys.version_text",
    LIMITS: "extension_config_discovery.http_filter.limits.version_text",
    ALLOWED: "extension_config_discovery.http_filter.allowed.version_text",
    GUARD: "extension_config_discovery.http_filter.guard.version_text",
    TLS: "sds.tls.version_text",
}
# Envoy refuses paths below /dev but these.
_VALIDATE = ("envoy", "--mode", "validate", "--config-path", "/dev/fd/0")

# In Ollama's container: its health check, which tells how its models are, too.
HEALTH = "/etc/ollama/health.sh"

# What the gateway notes of answers to clients with a budget, and what the keeper of budgets makes of it.
_ANSWERS = Mount(f"{BUDGETS}/answers", "/budgets/answers", writable=True)
_SUMS = Mount(f"{BUDGETS}/sums", "/budgets/sums", writable=True)
ANSWERS_LOG, SUMS, USED = f"{_ANSWERS.target}/log", _SUMS.target, f"{_SUMS.target}/used"
STALE_S = 15  # the keeper speaks every second; one that has been silent for longer counts no more
_KEEPER = "/etc/sealift/keeper.sh"
KEEPING = {"keeper": _KEEPER, "log": ANSWERS_LOG, "folder": SUMS, "stale_s": STALE_S}

OLLAMA = Service(
    name="ollama",
    mounts=(Mount(MODELS, "/models"), Mount("health.sh", HEALTH)),
    networks=(INNER,),
    serves_models=True,
    required=True,
)
GATEWAY = Service(
    name="gateway",
    ports=(Port(8443, setting="port"),),
    mounts=(
        Mount("envoy.yaml", "/etc/envoy/envoy.yaml"),
        _ANSWERS,
        replace(_SUMS, writable=False),
    ),
    networks=(INNER,),
    required=True,
    validate=_VALIDATE,
    live=Live(
        "/etc/envoy/live",
        {
            **_LIVE,
            BUDGET: "extension_config_discovery.http_filter.budget.version_text",
            CLUSTERS: "cluster_manager.cds.version_text",
        },
        ask=_VERSIONS,
    ),
)
BUDGET_KEEPER = Service(
    name="budgets",
    image=GATEWAY.name,
    mounts=(Mount("keeper.sh", _KEEPER), _ANSWERS, _SUMS),
    memory_limit_mib=64,
)
FRONT = Service(
    name="front",
    image=GATEWAY.name,
    groups=frozenset({"front"}),
    ports=(Port(9443, setting="port"),),
    mounts=(Mount("envoy.yaml", "/etc/envoy/envoy.yaml"),),
    beside=GATEWAY.name,
    validate=_VALIDATE,
    live=Live(
        "/etc/envoy/live",
        {**_LIVE, HOSTS: "cluster.hosts.version_text", CA: "sds.ca.version_text"},
        ask=_VERSIONS,
    ),
)

# In the order in which they start.
SERVICES = (OLLAMA, GATEWAY, BUDGET_KEEPER, FRONT)


def in_groups(groups: frozenset[str], wanted: Iterable[str]) -> bool:
    """Whether what is meant for some groups is for a host.

    + groups: the host's, in the inventory
    + wanted: those that it is meant for
    """
    return not (groups | {ALL}).isdisjoint(wanted)
