"""A generation: everything that is configuration on a host, rendered from settings, lock and secrets.

It is named by its content, so that equal input gives the same folder, and an edit on the host shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import SecretStr

from sealift.files import canonical_json
from sealift.host.settings import OllamaSettings, SiteSettings, in_force
from sealift.host_paths import CURRENT, MODELS
from sealift.release.locked import Lock
from sealift.release.roles import Answers

OLLAMA = "sealift-ollama"  # Compose projects
GATEWAY = "sealift-gateway"
NETWORK = "sealift-inner"  # where the gateway meets Ollama; it has no way out
SPEC_LABEL = "io.sealift.spec"  # on each container: digest of the configuration it was made from
MOUNTED = ("envoy.yaml", "tls.crt", "tls.key")  # of the gateway's folder, by the same names in /etc/envoy

CLIENT_HEADER = "x-sealift-client"
LISTENER_PORT = 8443  # in the gateway's container, whatever port is published
ADMIN_PORT = 9901

# Inference and what clients ask before it. Whatever changes models (pull, create, delete, ...) is left out.
# Source: `GenerateRoutes` in `server/routes.go` of github.com/ollama/ollama.
ROUTES = (
    ("GET", "/api/version"),
    ("GET", "/api/tags"),
    ("GET", "/api/ps"),
    ("POST", "/api/show"),
    ("POST", "/api/generate"),
    ("POST", "/api/chat"),
    ("POST", "/api/embed"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/embeddings"),
)


@dataclass(frozen=True)
class RenderedFile:
    """A file of a generation. Its content may be secret, so it is left out of the representation."""

    content: bytes = field(repr=False)
    mode: int = 0o644

    @property
    def sha256(self) -> str:
        """Hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Generation:
    """The configuration of a host.

    + id: names its folder
    + files: by path below that folder
    + specs: by Compose project, digest of all its containers are made from
    """

    id: str
    files: Mapping[str, RenderedFile]
    specs: Mapping[str, str]


def render_generation(
    settings: SiteSettings,
    lock: Lock,
    bundle: str,
    groups: frozenset[str],
    answers: Answers,
    api_keys: Mapping[str, SecretStr],
    certificate: bytes,
    key: bytes,
    templates: Path,
) -> Generation:
    """Render the configuration of a host.

    + settings: the host's
    + lock: what its release pins
    + bundle: digest of the bundle that brought the lock
    + groups: the host's inventory groups; those in `gpu` give Ollama their GPUs
    + answers: which models answer the roles there
    + api_keys: by client
    + certificate: PEM, of the gateway
    + key: PEM, of the certificate
    + templates: folder of the templates
    """
    render = _Renderer(templates)
    gateway = {
        "envoy.yaml": RenderedFile(_envoy(render, settings, api_keys), 0o600),
        "tls.crt": RenderedFile(certificate),
        "tls.key": RenderedFile(key, 0o600),
    }
    ollama_compose, ollama_spec = _compose(
        render, "ollama/compose.yaml.j2", _ollama_inputs(settings, lock, "gpu" in groups), {}
    )
    gateway_compose, gateway_spec = _compose(
        render, "gateway/compose.yaml.j2", _gateway_inputs(settings, lock), gateway
    )
    release = {"release": lock.release.reference, "bundle": bundle, "roles": dict(answers)}
    files = {
        "release.json": RenderedFile(canonical_json(release, indent=2)),
        "ollama/compose.yaml": RenderedFile(ollama_compose),
        "gateway/compose.yaml": RenderedFile(gateway_compose),
        **{f"gateway/{name}": file for name, file in gateway.items()},
    }
    return Generation(_digest(files)[:12], files, {OLLAMA: ollama_spec, GATEWAY: gateway_spec})


def ollama_environment(settings: OllamaSettings) -> dict[str, str]:
    """Ollama's environment. An empty setting is left out: Ollama then takes its own default."""
    values = {
        "HOME": "/root",
        "OLLAMA_HOST": "0.0.0.0:11434",  # of the container: its only network is the inner one
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


def _ollama_inputs(settings: SiteSettings, lock: Lock, gpu: bool) -> dict[str, object]:
    return {
        "project": OLLAMA,
        "network": NETWORK,
        "image": lock.images["ollama"].name,
        "models": MODELS,
        "environment": ollama_environment(in_force(settings.ollama, lock.release.roles.values())),
        "memory_limit_mib": settings.ollama.memory_limit_mib,
        "cpus": settings.ollama.cpus,
        "gpu": gpu,
    }


def _gateway_inputs(settings: SiteSettings, lock: Lock) -> dict[str, object]:
    return {
        "project": GATEWAY,
        "network": NETWORK,
        "image": lock.images["gateway"].name,
        "folder": f"{CURRENT}/gateway",
        "mounted": MOUNTED,
        "port": settings.gateway.port,
        "listener_port": LISTENER_PORT,
        "admin_port": ADMIN_PORT,
        "memory_limit_mib": settings.gateway.memory_limit_mib,
    }


def _envoy(render: _Renderer, settings: SiteSettings, api_keys: Mapping[str, SecretStr]) -> bytes:
    return render(
        "gateway/envoy.yaml.j2",
        {
            "listener_port": LISTENER_PORT,
            "admin_port": ADMIN_PORT,
            "certificate": "/etc/envoy/tls.crt",
            "key": "/etc/envoy/tls.key",
            "idle_timeout_s": settings.gateway.idle_timeout_s,
            "requests_per_minute": settings.gateway.requests_per_minute,
            "max_connections": settings.gateway.max_connections,
            "max_request_bytes": settings.gateway.max_request_mib * 1024 * 1024,
            "client_header": CLIENT_HEADER,
            "api_keys": {client: api_keys[client].get_secret_value() for client in sorted(api_keys)},
            "routes": ROUTES,
            "upstream_host": "ollama",
            "upstream_port": 11434,
        },
    )


def _compose(
    render: _Renderer, template: str, inputs: dict[str, object], mounted: Mapping[str, RenderedFile]
) -> tuple[bytes, str]:
    """Render a Compose file with the digest of itself and of what it mounts; give both."""
    blank = render(template, {**inputs, "spec": "", "spec_label": SPEC_LABEL})
    spec = f"sha256:{_digest({'compose.yaml': RenderedFile(blank), **mounted})}"
    return render(template, {**inputs, "spec": spec, "spec_label": SPEC_LABEL}), spec


def _digest(files: Mapping[str, RenderedFile]) -> str:
    listing = [[path, file.mode, file.sha256] for path, file in sorted(files.items())]
    return hashlib.sha256(canonical_json(listing)).hexdigest()


class _Renderer:
    """Templates with named inputs: a name that is missing is an error, never an empty string."""

    def __init__(self, templates: Path) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(templates),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,  # noqa: S701 - YAML, not HTML: strings go through `tojson`
        )

    def __call__(self, template: str, inputs: Mapping[str, object]) -> bytes:
        return self._environment.get_template(template).render(inputs).encode()
