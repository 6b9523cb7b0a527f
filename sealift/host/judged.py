"""What an image is given to judge a configuration by, before it is activated."""

from __future__ import annotations

import json
from typing import Any

import yaml

from sealift.host.generation import LIVE, Generation
from sealift.services import ALLOWED, CLUSTERS, GATEWAY, GUARD, KEYS, LIMITS, LISTENER, TLS, Service

_FILTERS = {
    "keys": KEYS,
    "limits": LIMITS,
    "allowed": ALLOWED,
    "guard": GUARD,
}  # by their names in the listener


def judged(generation: Generation, service: Service) -> bytes:
    """What a service's image gets over standard input to judge a generation by; secret."""
    return _envoy(generation) if service is GATEWAY else b""


def _envoy(generation: Generation) -> bytes:
    """One static configuration, as JSON, out of Envoy's several files.

    `envoy --mode validate` looks at no file that Envoy would read while it runs.
    """
    bootstrap = _parsed(generation, "envoy.yaml")
    del bootstrap["dynamic_resources"]
    (certificate,) = _resources(generation, TLS)
    clusters = _resources(generation, CLUSTERS)
    listeners = _resources(generation, LISTENER)
    for each in (*clusters, *listeners):
        del each["@type"]
    for listener in listeners:
        for chain in listener["filter_chains"]:
            tls = chain["transport_socket"]["typed_config"]["common_tls_context"]
            del tls["tls_certificate_sds_secret_configs"]
            tls["tls_certificates"] = [certificate["tls_certificate"]]
            http = chain["filters"][0]["typed_config"]
            http["http_filters"] = [_static(generation, each) for each in http["http_filters"]]
    bootstrap["static_resources"]["clusters"] += clusters
    bootstrap["static_resources"]["listeners"] = listeners
    return json.dumps(bootstrap).encode()


def _static(generation: Generation, http_filter: dict[str, Any]) -> dict[str, Any]:
    name = http_filter["name"]
    if name not in _FILTERS:
        return http_filter
    (found,) = _resources(generation, _FILTERS[name])
    return {"name": name, "typed_config": found["typed_config"]}


def _resources(generation: Generation, name: str) -> list[Any]:
    found: list[Any] = _parsed(generation, f"{LIVE}/{name}")["resources"]
    return found


def _parsed(generation: Generation, name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(generation.files[f"{GATEWAY.name}/{name}"].content)
    return found
