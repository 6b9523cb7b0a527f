"""What an inventory says about a host, parsed once into frozen types.

Group data stays plain Python (see `inventories/`); everything that reads a setting reads it from here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, field_validator

from sealift import mistakes
from sealift.errors import SealiftError
from sealift.host.minimum_settings import MinimumSettings
from sealift.host.monitoring_settings import MonitoringSettings
from sealift.host.promotion_settings import PromotionSettings
from sealift.host.rollout_settings import RolloutSettings
from sealift.host.ship_settings import ShipSettings
from sealift.host_paths import ROOT
from sealift.release.objectives import Objectives
from sealift.release.role import Role
from sealift.release.values import Frozen
from sealift.service import Port, Service
from sealift.services import GATEWAY

# pyinfra's other ways of becoming somebody, which ssh, shipping and acceptance would not go along with.
_OTHER_WAYS = re.compile(r"_(sudo_|use_sudo_|preserve_sudo_|su_|use_su_|preserve_su_|doas)")

# Source: "Docker daemon" in Docker's documentation, docs.docker.com/engine/daemon/#daemon-data-directory
DOCKER_DATA_ROOT = "/var/lib/docker"

FrontName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,253}$")]
Duration = Annotated[str, StringConstraints(pattern=r"^(-1|[0-9]+(ms|s|m|h))$")]


class OllamaSettings(Frozen):
    """Ollama's settings, without the `OLLAMA_` prefix; it has no configuration file, only environment.

    Source: `envconfig/config.go` of github.com/ollama/ollama. A name that is not here is refused: Ollama
    itself ignores what it does not know.
    """

    keep_alive: Duration = Field(
        default="24h", description="how long a model stays in memory after its last request"
    )
    load_timeout: Duration = Field(default="5m", description="a model that takes longer to load is given up")
    num_parallel: int = Field(
        default=1, ge=1, le=64, description="requests that one model answers at once; each costs a context"
    )
    max_loaded_models: int = Field(default=1, ge=1, le=64, description="models in memory at once")
    max_queue: int = Field(default=512, ge=1, description="requests that wait; further ones get 503")
    context_length: int = Field(
        default=4096, ge=256, description="tokens of context where a request does not say"
    )
    flash_attention: bool = Field(
        default=False, description="less memory for long contexts, where the hardware supports it"
    )
    kv_cache_type: Literal["f16", "q8_0", "q4_0"] = Field(
        default="f16", description="precision of the context's memory; less than f16 needs flash attention"
    )
    origins: tuple[str, ...] = Field(
        default=(), description="web origins that browsers may ask from; empty is Ollama's own default"
    )
    memory_limit_mib: int = Field(default=8192, ge=512, description="MiB that the container may take")
    cpus: float = Field(default=0, ge=0, description="of the container; 0 is no limit")


class GatewaySettings(Frozen):
    """The Envoy gateway: where it listens and with which certificate."""

    port: int = Field(default=8443, ge=1, le=65535, description="TCP, on every address of the host")
    certificate: Path = Field(description="PEM, on the control node; {host} stands for the host's name")
    key: Path = Field(description="PEM, mode 0600, on the control node; {host} stands for the host's name")
    ca: Path = Field(description="PEM of the CA that clients trust")
    max_request_mib: int = Field(
        default=16, ge=1, le=1024, description="MiB; a larger request is refused with 413"
    )
    requests_per_minute: int = Field(
        default=120, ge=1, description="of each client without a limit of its own; beyond it, 429"
    )
    queue: int = Field(
        default=8, ge=1, le=512, description="requests of each client that wait; further ones get 503"
    )
    load_options: Literal["ignore", "refuse"] = Field(
        default="ignore",
        description="what becomes of keep_alive and of options that load a model anew for everybody: they are"
        " taken out of the request, or it gets 400",
    )
    max_connections: int = Field(default=4000, ge=1, description="open at once, of all clients together")
    memory_limit_mib: int = Field(default=1024, ge=64, description="MiB that the container may take")
    idle_timeout_s: int = Field(
        default=300,
        ge=1,
        description="a stream without a byte for so long is closed; without streaming, the longest answer",
    )
    hold_s: int = Field(
        default=60, ge=0, le=3600, description="a request waits so long while Ollama is away, then gets 503"
    )
    finish_s: int = Field(default=30, ge=0, le=3600, description="answers go on before Ollama is replaced")

    def of(self, host: str) -> GatewaySettings:
        """The same with a host's name in place of `{host}`."""
        paths = {"certificate": self.certificate, "key": self.key}
        return self.model_copy(
            update={name: Path(str(path).replace("{host}", host)) for name, path in paths.items()}
        )


class FrontSettings(Frozen):
    """The front door. What it lets in and how much, its gateway's settings say, as does its certificate."""

    port: int = Field(default=443, ge=1, le=65535, description="TCP, on every address of the host")
    names: tuple[FrontName, ...] = Field(
        default=(),
        description="DNS names and IP addresses that applications ask; the host's certificate must have them",
    )
    max_connections: int = Field(default=4000, ge=1, description="open at once, of all clients together")
    memory_limit_mib: int = Field(default=1024, ge=64, description="MiB that the container may take")


class DockerSettings(Frozen):
    """daemon.json, as far as sites differ."""

    log_max_size: Annotated[str, StringConstraints(pattern=r"^[0-9]+[kmg]$")] = Field(
        default="10m", description="size at which a container's log is rotated"
    )
    log_max_file: int = Field(default=3, ge=1, description="logs kept of each container")
    address_pool: str = Field(
        default="172.30.0.0/16", description="where the networks of containers are cut from"
    )
    data_root: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9._/-]+)?$",
        description="folder of its data; empty is docker in the data folder, or else Docker's own",
    )
    insecure_registries: tuple[str, ...] = Field(default=(), description="registries without TLS")
    registry_mirrors: tuple[str, ...] = Field(default=(), description="mirrors of Docker's own registry")
    proxies: dict[Literal["http-proxy", "https-proxy", "no-proxy"], str] = Field(
        default={}, description="of the daemon itself"
    )
    default_runtime: Literal["", "runc", "nvidia"] = Field(default="", description="empty is Docker's own")

    @property
    def data(self) -> str:
        """The folder of its data, on the host."""
        return self.data_root or DOCKER_DATA_ROOT

    @property
    def has_login(self) -> bool:
        """Whether a proxy's address has a name and a password in it."""
        return any("@" in address for kind, address in self.proxies.items() if kind != "no-proxy")

    def within(self, data_folder: str) -> DockerSettings:
        """The same with its data below the site's data folder, where neither is left to Docker."""
        if self.data_root or not data_folder:
            return self
        return self.model_copy(update={"data_root": f"{data_folder}/docker"})


class GpuSettings(Frozen):
    """How a host of the group `gpu` gets its CDI specification."""

    stand_in: bool = Field(default=False, description="a device that is no GPU, for labs without one")


class SiteSettings(ShipSettings):
    """All of a host's settings. Other keys of pyinfra's own (`ssh_*`, `_*`) are left out by `parse`."""

    release: Annotated[
        str, StringConstraints(pattern=r"^[a-z0-9.-]+(:[A-Za-z0-9.+~_-]+|@sha256:[0-9a-f]{64})$")
    ] = Field(description="out of the depot: NAME:VERSION, or NAME@sha256:DIGEST of its bundle")
    depot: Path = Field(description="folder of the site's imported releases")
    secrets: Path = Field(description="age file with the API keys")
    identity: Path = Field(description="age identity that opens it, mode 0600")
    ssh_config_file: Path = Field(description="the inventory's ssh_config")
    sudo: bool = Field(
        default=False,
        alias="_sudo",
        description="whether to become root by sudo, without a password; pyinfra's own setting",
    )
    enter: tuple[str, ...] = Field(
        default=(),
        description="command and arguments that lead to where hosts can be reached, such as nsenter's",
    )
    data_folder: str = Field(
        default="",
        pattern=r"^(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$",
        description="folder of a large disk of the host, for its store and Docker's data; it must be there."
        " Empty: both lie below /var/lib",
    )
    verify_at_once: int = Field(
        default=16, ge=1, description="hosts that are verified at the same time; each waits for its own model"
    )
    ollama: OllamaSettings = OllamaSettings()
    gateway: GatewaySettings
    front: FrontSettings = FrontSettings()
    docker: DockerSettings = DockerSettings()
    gpu: GpuSettings = GpuSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    promotion: PromotionSettings = PromotionSettings()
    rollout: RolloutSettings = RolloutSettings()
    minimum: MinimumSettings = MinimumSettings()
    objectives: dict[str, Objectives] = Field(
        default={}, description="by role: what it promises here, in place of the release's figures"
    )

    @field_validator("data_folder")
    @classmethod
    def _elsewhere(cls, folder: str) -> str:
        """The link that leads to it must not lead to itself."""
        if f"{folder}/sealift" == ROOT or f"{folder}/".startswith(f"{ROOT}/"):
            raise ValueError(f"expected a folder of another disk; empty leaves all in {ROOT}")
        return folder

    @property
    def root(self) -> str:
        """Where sealift's folder really lies on the host, which `sealift.host_paths.ROOT` leads to."""
        return f"{self.data_folder}/sealift" if self.data_folder else ROOT


class SettingsError(SealiftError):
    """Every mistake in a host's data, one per line."""


def parse(host: str, data: dict[str, Any]) -> SiteSettings:
    """Parse a host's inventory data.

    + host: its name, for messages and for `{host}` in paths
    + data: as `pyinfra INVENTORY debug-inventory --json` has it

    Raises SettingsError with a line per mistake: `host: key.key: what is wrong`.
    """
    own = {key: data[key] for key in data if _is_ours(key)}
    found = [
        f"{key}: is not supported, expected _sudo alone, which becomes root without a password. Take it out"
        for key in data
        if _OTHER_WAYS.match(key)
    ]
    settings = None
    try:
        settings = SiteSettings.model_validate(own)
    except ValidationError as error:
        found += mistakes.every(error, SiteSettings)
    if settings is None or found:
        raise SettingsError("\n".join(f"{host}: {each}. See docs/inventory.md." for each in found))
    return settings.model_copy(
        update={
            GATEWAY.name: settings.gateway.of(host),
            "docker": settings.docker.within(settings.data_folder),
        }
    )


def in_force(settings: OllamaSettings, roles: Iterable[Role]) -> OllamaSettings:
    """The settings that Ollama gets: context and parallel are the larger of the site's and the roles'.

    Ollama knows both only for all models together.

    + roles: that the host serves
    """
    demands = tuple(roles)
    return settings.model_copy(
        update={
            "context_length": max((settings.context_length, *(role.context for role in demands))),
            "num_parallel": max((settings.num_parallel, *(role.parallel for role in demands))),
        }
    )


def published(settings: SiteSettings, port: Port) -> int:
    """The port of a host that a service's port is published on."""
    return _number(settings, port.setting) if port.setting else port.inside


def memory_limit_mib(settings: SiteSettings, service: Service) -> int:
    """MiB that a service's container may take."""
    if service.memory_setting:
        return _number(settings, service.memory_setting)
    table = getattr(settings, service.name, None)
    return int(getattr(table, "memory_limit_mib", service.memory_limit_mib))


def _number(settings: SiteSettings, setting: str) -> int:
    """+ setting: TABLE.KEY."""
    table, _, key = setting.partition(".")
    return int(getattr(getattr(settings, table), key))


def _is_ours(key: str) -> bool:
    return key in ("ssh_config_file", "_sudo") or not key.startswith(("ssh_", "_"))
