"""What the templates of the services that watch need beside their entries."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from sealift.host.given import Served, SiteFiles
from sealift.host.gpus import GPU
from sealift.host.promises import objectives_there
from sealift.host.settings import SiteSettings
from sealift.host_paths import METRICS, PROBED
from sealift.release.roles import names_of
from sealift.services import ALERTMANAGER, GATEWAY, MONITOR_NAME, NODE, PROBE, PROBE_FOLDER, PROBE_USER

_TIMEOUT_S = 30
_LOAD_TIMEOUT_S = 300  # as Ollama's own, for models that are not in memory


def node(site_files: SiteFiles) -> dict[str, Any]:
    """Of the node exporter: its certificate, and whose it takes."""
    return {
        "port": NODE.ports[0].inside,
        "certificate": _text(site_files.certificate),
        "key": _text(site_files.key),
        "ca": _text(site_files.ca),
        "monitor": MONITOR_NAME,
        "user": NODE.mounts[0].group,
    }


def probe(settings: SiteSettings, served: Served, site_files: SiteFiles) -> dict[str, Any]:
    """Of the probe: whom it asks, and as whom. It is read by templates/probe/configuration.py."""
    keys, monitoring = site_files.api_keys.get(PROBE.name, ()), settings.monitoring
    at = {mount.source: mount.target for mount in PROBE.mounts}
    gpu = GPU in served.groups and not settings.gpu.stand_in
    roles = {
        name: {
            "kind": _kind(model, served),
            "model": model,
            "names": _listed_as(model, served),
            "objectives": _promised(name, settings, served),
        }
        for name, model in sorted(served.answers.items())
    }
    return {
        "folder": PROBE_FOLDER,
        "user": PROBE_USER,
        "configuration_file": at["probe.json"],
        "api_key": keys[-1].get_secret_value() if keys else "",
        "ca": _text(site_files.ca),
        "gpu": gpu,
        "configuration": {
            GATEWAY.name: [GATEWAY.name, GATEWAY.ports[0].inside],
            "host": served.host,
            "ca": at["ca.crt"],
            "key": at["key"],
            "output": f"{at[METRICS]}/{PurePosixPath(PROBED).name}",
            "proc": at["/proc"],
            "roles": roles,
            "interval_s": monitoring.probe_interval_s,
            "timeout_s": _TIMEOUT_S,
            "load_timeout_s": _LOAD_TIMEOUT_S,
            "degraded_s": monitoring.degraded_s,
            "release": served.lock.release.reference,
            "bundle": served.bundle,
            "memory_limit_bytes": settings.ollama.memory_limit_mib << 20,
            "gpu": gpu,
        },
    }


def _kind(model: str, served: Served) -> str:
    """How the probe asks a role of this model."""
    return "embed" if served.lock.models[model].shape.embeds else "chat"


def _promised(role: str, settings: SiteSettings, served: Served) -> dict[str, float]:
    """What a role promises there, by the names of series."""
    promised = objectives_there(settings, role, served.lock.release.roles[role])
    return {str(name): figure for name, figure in promised.figures.items()}


def _listed_as(model: str, served: Served) -> list[str]:
    """By which names Ollama may list a model that it has in memory."""
    return sorted({tag for named in names_of(served.lock, model, served.answers) for tag in named.tags})


def prometheus(settings: SiteSettings, served: Served, site_files: SiteFiles) -> dict[str, Any]:
    """Of Prometheus: whose figures it reads, by which certificate, and what is an alert."""
    monitoring = settings.monitoring
    return {
        "host": served.host,
        "watched": served.fleet.watched,
        "certificate": _text(site_files.monitor_certificate),
        "key": _text(site_files.monitor_key),
        "ca": _text(site_files.ca),
        "scrape_interval_s": monitoring.scrape_interval_s,
        "retention_days": monitoring.retention_days,
        "retention_gib": monitoring.retention_gib,
        "probe_interval_s": monitoring.probe_interval_s,
        "alerts": monitoring.alerts,
        "probed": [each.name for each in served.fleet.watched if each.probed],
        "rules": _text(site_files.rules),
        "tells": ALERTMANAGER in served.services,
    }


def alertmanager(served: Served, site_files: SiteFiles) -> dict[str, Any]:
    """Of Alertmanager: who is told."""
    return {"receivers": site_files.receivers, "host": served.host}


def _text(content: bytes) -> str:
    return content.decode(errors="replace")
