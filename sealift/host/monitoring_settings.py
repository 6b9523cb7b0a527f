"""How a site watches its fleet: docs/watch.md."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from sealift.host.alert_settings import AlertSettings, ReceiverSettings
from sealift.release.values import Frozen


class MonitoringSettings(Frozen):
    """What watches, and when it tells somebody. It is in force where the release has its images."""

    certificate: Path | None = Field(
        default=None,
        description="PEM, on the control node: by it hosts of the group `monitor` read the others' figures",
    )
    key: Path | None = Field(default=None, description="PEM, mode 0600, on the control node: its key")
    node_port: int = Field(
        default=9100, ge=1, le=65535, description="TCP: figures of a host, for that certificate alone"
    )
    metrics_port: int = Field(
        default=9464, ge=1, le=65535, description="TCP: figures of a gateway, for that certificate alone"
    )
    front_metrics_port: int = Field(
        default=9465, ge=1, le=65535, description="TCP: figures of a front door, for that certificate alone"
    )
    scrape_interval_s: int = Field(default=15, ge=1, le=300, description="how often figures are read")
    probe_interval_s: int = Field(
        default=60, ge=5, le=3600, description="how often each role of each host is asked something small"
    )
    degraded_s: float = Field(
        default=5, gt=0, description="seconds; a role that takes longer to answer that is degraded"
    )
    retention_days: int = Field(default=30, ge=1, description="figures are kept for so long")
    retention_gib: int = Field(
        default=20, ge=1, description="GiB; beyond it, the oldest figures go before their time"
    )
    memory_limit_mib: int = Field(default=1024, ge=128, description="MiB that Prometheus may take")
    alerts: AlertSettings = AlertSettings()
    receivers: ReceiverSettings = ReceiverSettings()
    rules: Path | None = Field(
        default=None, description="the site's own rules, a file of Prometheus' form on the control node"
    )
