"""What an image is given to judge a configuration by, before it is activated."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from sealift.host.generation import LIVE, Generation
from sealift.service import Service
from sealift.services import (
    ALERTMANAGER,
    ALLOWED,
    BUDGET,
    CA,
    CLUSTERS,
    FRONT,
    GATEWAY,
    GUARD,
    HOSTS,
    KEYS,
    LIMITS,
    LISTENER,
    PROMETHEUS,
    TLS,
)

_FILTERS = {
    "keys": KEYS,
    "limits": LIMITS,
    "budget": BUDGET,
    "allowed": ALLOWED,
    "guard": GUARD,
}  # by their names in the listener


def judged(generation: Generation, service: Service) -> bytes:
    """What a service's image gets over standard input to judge a generation by; secret."""
    if service in (GATEWAY, FRONT):
        return _Envoy(generation, service).static()
    if service == PROMETHEUS:
        return base64.encodebytes(_folder(generation, service))
    if service == ALERTMANAGER:
        return generation.files[f"{service.name}/alertmanager.yml"].content
    return b""


def _folder(generation: Generation, service: Service) -> bytes:
    """The files that a container sees beside its configuration, as a tar file; what is private is empty."""
    here = {mount.target: mount for mount in service.mounts if not mount.source.startswith("/")}
    base = PurePosixPath(service.mounts[0].target).parent
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for target, mount in here.items():
            content = b"" if mount.private else generation.files[f"{service.name}/{mount.source}"].content
            entry = tarfile.TarInfo(str(PurePosixPath(target).relative_to(base)))
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@dataclass(frozen=True)
class _Envoy:
    """A service that is Envoy, in a generation."""

    generation: Generation
    service: Service

    def static(self) -> bytes:
        """One static configuration, as JSON, out of Envoy's several files.

        `envoy --mode validate` looks at no file that Envoy would read while it runs.
        """
        bootstrap = self._parsed("envoy.yaml")
        del bootstrap["dynamic_resources"]
        (certificate,) = self._resources(TLS)
        listeners = self._resources(LISTENER)
        for listener in listeners:
            for chain in listener["filter_chains"]:
                tls = chain["transport_socket"]["typed_config"]["common_tls_context"]
                del tls["tls_certificate_sds_secret_configs"]
                tls["tls_certificates"] = [certificate["tls_certificate"]]
                http = chain["filters"][-1]["typed_config"]
                for log in http.get("access_log", ()):
                    if "path" in log["typed_config"]:  # whose folder the image does not see here
                        log["typed_config"]["path"] = "/dev/null"
                http["http_filters"] = list(map(self._filter, http["http_filters"]))
        static = bootstrap["static_resources"]
        static["clusters"] = [
            self._cluster(each) for each in (*static["clusters"], *self._resources(CLUSTERS))
        ]
        static["listeners"] = listeners
        return json.dumps(bootstrap).encode()

    def _filter(self, http_filter: dict[str, Any]) -> dict[str, Any]:
        name = http_filter["name"]
        if name not in _FILTERS:
            return http_filter
        (found,) = self._resources(_FILTERS[name])
        return {"name": name, "typed_config": found["typed_config"]}

    def _cluster(self, cluster: dict[str, Any]) -> dict[str, Any]:
        if "eds_cluster_config" not in cluster:
            return cluster
        (hosts,), (ca,) = self._resources(HOSTS), self._resources(CA)
        tls = cluster["transport_socket"]["typed_config"]["common_tls_context"]
        del cluster["eds_cluster_config"], tls["validation_context_sds_secret_config"]
        tls["validation_context"] = ca["validation_context"]
        return {**cluster, "type": "STATIC", "load_assignment": hosts}

    def _resources(self, name: str) -> list[dict[str, Any]]:
        """Those of a live file, without their types; none where the service has no such file."""
        if not self.service.live or name not in self.service.live.versions:
            return []
        found = self._parsed(f"{LIVE}/{name}")["resources"]
        return [{key: value for key, value in each.items() if key != "@type"} for each in found]

    def _parsed(self, name: str) -> dict[str, Any]:
        content = self.generation.files[f"{self.service.name}/{name}"].content
        found: dict[str, Any] = yaml.safe_load(content)
        return found
