"""What the templates of a service need beside its entry."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from sealift.host.gpus import GPU
from sealift.host.refusals import replies
from sealift.host.routes import routes_of
from sealift.host.settings import OllamaSettings, SiteSettings
from sealift.release.locked import Lock
from sealift.release.roles import Answers, names_answered
from sealift.services import ADMIN_PORT, GATEWAY, HEALTH, OLLAMA, Service

CLIENT_HEADER = "x-sealift-client"
OLLAMA_PORT = 11434
MOST_CLIENTS = 100_000  # whose limits Envoy keeps; of more, it would forget those who ask least


@dataclass(frozen=True)
class SiteFiles:
    """What the site keeps beside its inventory, opened on the control node. Secret.

    + api_keys: of the gateway, by client; a client may have several
    + certificate: PEM, of the host's gateway
    + key: PEM, of the certificate
    + allowed: roles by client; a client that is not there may ask for every role
    """

    api_keys: Mapping[str, tuple[SecretStr, ...]] = field(repr=False)
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    allowed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Served:
    """What a host serves.

    + lock: what its release pins
    + groups: of the host in the inventory
    + answers: which models answer the roles there
    """

    lock: Lock
    groups: frozenset[str]
    answers: Answers

    @property
    def names(self) -> tuple[str, ...]:
        """By which clients may ask there."""
        return names_answered(self.lock, self.groups, self.answers)


@dataclass(frozen=True)
class Guard:
    """What the gateway holds a request's body against.

    + load_options: the site's setting
    + context: tokens that Ollama loads models with, which preflight reckoned with
    + names: that may be asked for
    """

    load_options: str
    context: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Inputs:
    """What a service's templates get by name."""

    values: Mapping[str, object] = field(default_factory=dict, repr=False)


def inputs_of(
    service: Service,
    settings: SiteSettings,
    served: Served,
    site_files: SiteFiles,
) -> Inputs:
    """What a service's templates need; nothing for a service whose entry says all.

    + settings: in force on the host
    """
    make = _OF_SERVICE.get(service.name)
    return make(settings, served, site_files) if make else Inputs()


def ollama_environment(settings: OllamaSettings) -> dict[str, str]:
    """Ollama's environment. An empty setting is left out: Ollama then takes its own default."""
    values = {
        "HOME": "/root",
        "OLLAMA_HOST": f"0.0.0.0:{OLLAMA_PORT}",  # of the container: its only network is the inner one
        "OLLAMA_MODELS": "/models",
        "OLLAMA_NOPRUNE": "1",  # the store is read-only, and sealift's to clean
        "OLLAMA_NO_CLOUD": "1",  # newer versions call out when they start
        "OLLAMA_KEEP_ALIVE": settings.keep_alive,
        "OLLAMA_LOAD_TIMEOUT": settings.load_timeout,
        "OLLAMA_NUM_PARALLEL": str(settings.num_parallel),
        "OLLAMA_MAX_LOADED_MODELS": str(settings.max_loaded_models),
        "OLLAMA_MAX_QUEUE": str(settings.max_queue),
        "OLLAMA_CONTEXT_LENGTH": str(settings.context_length),
        "OLLAMA_FLASH_ATTENTION": str(int(settings.flash_attention)),
        "OLLAMA_KV_CACHE_TYPE": settings.kv_cache_type,
        "OLLAMA_ORIGINS": ",".join(settings.origins),
    }
    return {name: value for name, value in values.items() if value}


def _ollama(settings: SiteSettings, served: Served, _: SiteFiles) -> Inputs:
    one_per_model = {model: role for role, model in sorted(served.answers.items(), reverse=True)}
    return Inputs(
        {
            # A role stands for its model. Not more of them than stay loaded together.
            "warm": sorted(one_per_model.values())[: settings.ollama.max_loaded_models],
            "health": HEALTH,
            "port": OLLAMA_PORT,
            "environment": ollama_environment(settings.ollama),
            "cpus": settings.ollama.cpus,
            "gpu": GPU in served.groups,
        }
    )


def _gateway(settings: SiteSettings, served: Served, site_files: SiteFiles) -> Inputs:
    gateway, live = settings.gateway, GATEWAY.live
    return Inputs(
        {
            **clients_values(site_files.api_keys, site_files.allowed),
            "guard": Guard(gateway.load_options, settings.ollama.context_length, served.names),
            "listener_port": GATEWAY.ports[0].inside,
            "admin_port": ADMIN_PORT,
            "live": live.target if live else "",
            "certificate": site_files.certificate.decode(errors="replace"),
            "key": site_files.key.decode(errors="replace"),
            "idle_timeout_s": gateway.idle_timeout_s,
            "requests_per_minute": gateway.requests_per_minute,
            # The bucket fills evenly, not once a minute.
            "next_request_s": math.ceil(60 / gateway.requests_per_minute),
            "most_clients": MOST_CLIENTS,
            "max_connections": gateway.max_connections,
            "max_request_bytes": gateway.max_request_mib * 1024 * 1024,
            "routes": routes_of(served.lock.images[OLLAMA.name].name),
            "replies": replies(gateway),
            "upstream_host": OLLAMA.name,
            "upstream_port": OLLAMA_PORT,
        }
    )


def clients_values(
    api_keys: Mapping[str, tuple[SecretStr, ...]], allowed: Mapping[str, tuple[str, ...]]
) -> dict[str, object]:
    """What the templates of the gateway's clients get by name: they depend on nothing else.

    + api_keys, allowed: as in SiteFiles
    """
    return {
        "client_header": CLIENT_HEADER,
        "api_keys": {
            client: [key.get_secret_value() for key in api_keys[client]] for client in sorted(api_keys)
        },
        "allowed": {
            client: sorted({role.removesuffix(":latest") for role in allowed[client]})
            for client in sorted(allowed)
        },
    }


_OF_SERVICE: Mapping[str, Callable[[SiteSettings, Served, SiteFiles], Inputs]] = {
    OLLAMA.name: _ollama,
    GATEWAY.name: _gateway,
}
