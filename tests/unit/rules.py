"""The rules of Prometheus as a site has them that sets nothing."""

from __future__ import annotations

from sealift.host.alert_settings import AlertSettings
from sealift.host.generation import _Renderer
from sealift.host.wanted import TEMPLATES

PROBED = ("h1", "h2")
RULES = ("alerts.yml", "objectives.yml")


def render_rules(settings: AlertSettings | None = None) -> dict[str, bytes]:
    """The files of rules, by name."""
    render = _Renderer(TEMPLATES)
    values = {"alerts": settings or AlertSettings(), "probe_interval_s": 60, "probed": PROBED}
    return {name: render(f"prometheus/{name}.j2", values) for name in RULES}
