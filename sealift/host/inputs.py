"""What the templates of a service need beside its entry."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from sealift.host.behind import Behind
from sealift.host.client_limits import ClientLimits, Share, share_of
from sealift.host.gpus import GPU
from sealift.host.refusals import replies
from sealift.host.routes import routes_of
from sealift.host.settings import OllamaSettings, SiteSettings
from sealift.release.locked import Lock
from sealift.release.roles import Answers, blind_names, names_answered, names_of
from sealift.services import (
    ADMIN_PORT,
    ANSWERS_LOG,
    BUDGET_KEEPER,
    FRONT,
    GATEWAY,
    HEALTH,
    KEEPING,
    OLLAMA,
    STALE_S,
    USED,
    Service,
)

CLIENT_HEADER = "x-sealift-client"
UNSENT_HEADER = "x-sealift-unsent"  # of a gateway's 503: no model has got the request
OLLAMA_PORT = 11434
_MIB = 1 << 20  # bytes
_LATER_S = 10
MOST_CLIENTS = 100_000  # whose limits Envoy keeps; of more, it would forget those who ask least


@dataclass(frozen=True)
class SiteFiles:
    """What the site keeps beside its inventory, opened on the control node. Secret.

    + api_keys: of the gateway, by client; a client may have several
    + certificate: PEM, of the host's gateway
    + key: PEM, of the certificate
    + allowed: roles by client; a client that is not there may ask for every role
    + limits: by client; for one that is not there the site's hold
    + ca: PEM, that the certificates of all hosts are of
    """

    api_keys: Mapping[str, tuple[SecretStr, ...]] = field(repr=False)
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    allowed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    limits: Mapping[str, ClientLimits] = field(default_factory=dict, repr=False)
    ca: bytes = b""


@dataclass(frozen=True)
class Served:
    """What a host serves.

    + lock: what its release pins
    + groups: of the host in the inventory
    + answers: which models answer the roles there
    + fleet: the hosts that a front door there is before
    """

    lock: Lock
    groups: frozenset[str]
    answers: Answers
    fleet: tuple[Behind, ...] = ()

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
    + blind: those of them that see no images
    + lists: cluster of Envoy that is asked for lists of models; empty where hosts answer them themselves
    + fill: by role, its parameters that Ollama puts others in place of where OpenAI's clients do not say them
    """

    load_options: str
    context: int
    names: tuple[str, ...]
    lists: str = ""
    blind: tuple[str, ...] = ()
    fill: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Client:
    """What the gateway holds a client to.

    + share: what it may take
    + roles: that it may ask for; every one where this is empty
    + paths: forms of asking; every one where this is empty
    + context, body_bytes, requests_per_minute: None where it has none of its own
    + next_request_s: until a request is due again
    + budget: tokens by period, `minute`, `day` and `month`
    """

    share: Share
    roles: tuple[str, ...]
    paths: tuple[str, ...]
    context: int | None
    body_bytes: int | None
    requests_per_minute: int | None
    next_request_s: int
    budget: Mapping[str, int]

    @property
    def restricted(self) -> bool:
        """Whether something of it stands in allowed.yaml."""
        return bool(self.roles or self.paths or self.context or self.body_bytes or self.requests_per_minute)


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
    names = {
        model: [tag for named in names_of(served.lock, model, served.answers) for tag in named.tags]
        for model in served.answers.values()
    }
    one_per_model = {model: role for role, model in sorted(served.answers.items(), reverse=True)}
    return Inputs(
        {
            # A role stands for its model, with all names of that. Not more of them than stay loaded together.
            "warm": sorted((role, names[model]) for model, role in one_per_model.items())[
                : settings.ollama.max_loaded_models
            ],
            "health": HEALTH,
            "port": OLLAMA_PORT,
            "environment": ollama_environment(settings.ollama),
            "cpus": settings.ollama.cpus,
            "gpu": GPU in served.groups,
        }
    )


def _gateway(settings: SiteSettings, served: Served, site_files: SiteFiles) -> Inputs:
    gateway = settings.gateway
    return Inputs(
        {
            **_envoy(GATEWAY, settings, served, site_files),
            "guard": Guard(
                gateway.load_options,
                settings.ollama.context_length,
                served.names,
                "all_clients",
                blind_names(served.lock, served.groups, served.answers),
                {
                    name: texts
                    for name in sorted(served.answers)
                    if (texts := served.lock.release.roles[name].parameters.for_openai)
                },
            ),
            "answers_log": ANSWERS_LOG,
            "idle_timeout_s": gateway.idle_timeout_s,
            "max_connections": gateway.max_connections,
            "replies": replies(gateway),
        }
    )


def _front(settings: SiteSettings, served: Served, site_files: SiteFiles) -> Inputs:
    gateway, fleet = settings.gateway, served.fleet
    names = tuple(sorted({name for host in fleet for name in host.names}))
    # A host's own answer, which says why, comes first.
    idle_timeout_s = _LATER_S + max((gateway.idle_timeout_s, *(host.idle_timeout_s for host in fleet)))
    return Inputs(
        {
            **_envoy(FRONT, settings, served, site_files),
            # What does not fit everywhere, the host that is chosen refuses.
            "guard": Guard(gateway.load_options, max((host.context for host in fleet), default=0), names),
            "idle_timeout_s": idle_timeout_s,
            "max_connections": settings.front.max_connections,
            "replies": replies(gateway, "host: none that could answer this does"),
            "fleet": fleet,
            "ca": site_files.ca.decode(errors="replace"),
        }
    )


def _envoy(
    service: Service, settings: SiteSettings, served: Served, site_files: SiteFiles
) -> dict[str, object]:
    """What the templates of gateway and front door have in common."""
    return {
        **clients_values(settings, site_files),
        "listener_port": service.ports[0].inside,
        "admin_port": ADMIN_PORT,
        "live": service.live.target if service.live else "",
        "certificate": site_files.certificate.decode(errors="replace"),
        "key": site_files.key.decode(errors="replace"),
        "max_request_bytes": settings.gateway.max_request_mib * _MIB,
        "routes": routes_of(served.lock.images[OLLAMA.name].name),
    }


def clients_values(settings: SiteSettings, site_files: SiteFiles) -> dict[str, object]:
    """What the templates of the gateway's clients get by name.

    + settings: in force on the host
    + site_files: of which the certificate is not looked at
    """
    api_keys, gateway = site_files.api_keys, settings.gateway
    clients = {client: _client(client, settings, site_files) for client in sorted(api_keys)}
    return {
        "client_header": CLIENT_HEADER,
        "unsent_header": UNSENT_HEADER,
        "api_keys": {client: [key.get_secret_value() for key in api_keys[client]] for client in clients},
        "clients": clients,
        "requests_per_minute": gateway.requests_per_minute,
        "next_request_s": _next_request_s(gateway.requests_per_minute),
        "most_clients": MOST_CLIENTS,
        "used": USED,
        "stale_s": STALE_S,
        "upstream_host": OLLAMA.name,
        "upstream_port": OLLAMA_PORT,
    }


def _client(client: str, settings: SiteSettings, site_files: SiteFiles) -> Client:
    own, allowed = site_files.limits.get(client, ClientLimits()), site_files.allowed.get(client, ())
    share = share_of(own, settings)
    return Client(
        share,
        roles=tuple(sorted({role.removesuffix(":latest") for role in allowed})),
        paths=share.paths if own.paths else (),
        context=own.context,
        body_bytes=share.body_mib * _MIB if own.body_mib else None,
        requests_per_minute=own.requests_per_minute,
        next_request_s=_next_request_s(share.requests_per_minute),
        budget=own.budget,
    )


def _next_request_s(requests_per_minute: int) -> int:
    """The bucket fills evenly, not once a minute."""
    return math.ceil(60 / requests_per_minute)


_OF_SERVICE: Mapping[str, Callable[[SiteSettings, Served, SiteFiles], Inputs]] = {
    OLLAMA.name: _ollama,
    GATEWAY.name: _gateway,
    BUDGET_KEEPER.name: lambda *_: Inputs(KEEPING),
    FRONT.name: _front,
}
