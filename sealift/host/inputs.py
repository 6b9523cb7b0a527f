"""What the templates of a service need beside its entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sealift.host.client_inputs import FRONT_RETRIES, MIB, OLLAMA_PORT, clients_values
from sealift.host.given import Served, SiteFiles
from sealift.host.gpus import GPU
from sealift.host.refusals import replies
from sealift.host.routes import routes_of
from sealift.host.settings import OllamaSettings, SiteSettings
from sealift.host.watch_inputs import alertmanager, node, probe, prometheus
from sealift.release.roles import blind_names, names_of
from sealift.service import Service
from sealift.services import (
    ADMIN_PORT,
    ALERTMANAGER,
    ANSWERS_LOG,
    BUDGET_KEEPER,
    FRONT,
    GATEWAY,
    HEALTH,
    KEEPING,
    MONITOR_NAME,
    NODE,
    OLLAMA,
    PROBE,
    PROMETHEUS,
)

_LATER_S = 10


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
class Inputs:
    """What a service's templates get by name."""

    values: Mapping[str, object] = field(default_factory=dict, repr=False)


_Make = Callable[[SiteSettings, Served, SiteFiles], Inputs]


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
            "hold_s": gateway.hold_s,
            # The last try of a front door may wait here, as what comes from elsewhere.
            "tried": (f"[1-{FRONT_RETRIES}]", "") if gateway.hold_s else ("",),
            "idle_timeout_s": gateway.idle_timeout_s,
            "max_connections": gateway.max_connections,
            "replies": replies(gateway),
        }
    )


def _front(settings: SiteSettings, served: Served, site_files: SiteFiles) -> Inputs:
    gateway, fleet = settings.gateway, served.fleet.behind
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
            "tried": ("",),
        }
    )


def _envoy(
    service: Service, settings: SiteSettings, served: Served, site_files: SiteFiles
) -> dict[str, object]:
    """What the templates of gateway and front door have in common."""
    ports = served.lock.release.ports_of(service)
    return {
        **clients_values(settings, site_files),
        "listener_port": service.ports[0].inside,
        "metrics_port": next((port.inside for port in ports if port.figures), 0),
        "monitor": MONITOR_NAME,
        "ca": site_files.ca.decode(errors="replace"),
        "admin_port": ADMIN_PORT,
        "live": service.live.target if service.live else "",
        "certificate": site_files.certificate.decode(errors="replace"),
        "key": site_files.key.decode(errors="replace"),
        "max_request_bytes": settings.gateway.max_request_mib * MIB,
        "routes": routes_of(served.lock.images[OLLAMA.name].name),
    }


_OF_SERVICE: Mapping[str, _Make] = {
    OLLAMA.name: _ollama,
    GATEWAY.name: _gateway,
    BUDGET_KEEPER.name: lambda *_: Inputs(KEEPING),
    FRONT.name: _front,
    NODE.name: lambda _, __, site_files: Inputs(node(site_files)),
    PROBE.name: lambda *given: Inputs(probe(*given)),
    PROMETHEUS.name: lambda *given: Inputs(prometheus(*given)),
    ALERTMANAGER.name: lambda _, served, site_files: Inputs(alertmanager(served, site_files)),
}
