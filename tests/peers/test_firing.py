"""What a real Prometheus says of alerts, and whether it would read what status publishes."""

from __future__ import annotations

import os
import subprocess
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from sealift.site.inventory import parse_inventory
from sealift.watch.firing import Alert, firing
from sealift.watch.fleet_series import blob_series, fleet_series
from tests.peers.prometheus import serving
from tests.unit.fleet_site import DATA
from tests.unit.test_status import ENDS, FOUND
from tests.watch_tools import program

RULES = """\
groups:
  - name: all
    rules:
      - {alert: Watchdog, expr: vector(1), labels: {severity: none}}
      - {alert: DiskFills, expr: vector(1), labels: {severity: warning, host: h1}}
      - {alert: RoleDown, expr: vector(1), labels: {severity: critical, host: h2, role: "chat\\nx", model: m}}
      - {alert: Later, expr: vector(1), for: 1h, labels: {severity: critical}}
      - {alert: Never, expr: vector(1) > 2, labels: {severity: critical}}
"""
FIRE = (Alert("RoleDown", "critical", "h2", "role=chat?x"), Alert("DiskFills", "warning", "h1", ""))


def test_alerts_that_fire_are_told_the_worst_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("promtool", "prometheus"):
        program("prometheus", name, tmp_path)
    (tmp_path / "rules.yml").write_text(RULES)
    settings = "global: {evaluation_interval: 1s}\nrule_files: [rules.yml]\n"
    raw: list[dict[str, Any]] = [{"name": "h1", "groups": ["monitor"], "data": DATA}]
    hosts = parse_inventory(Path("site.py"), raw).hosts
    with serving(tmp_path, tmp_path, configuration=settings) as path:
        monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
        end = time.monotonic() + 60
        while (found := firing(hosts, int(time.time()))) != FIRE and time.monotonic() < end:
            time.sleep(0.2)
    assert found == FIRE


def test_prometheus_own_tool_finds_nothing_wrong_with_what_is_published(tmp_path: Path) -> None:
    promtool = program("prometheus", "promtool", tmp_path)
    series = fleet_series(FOUND, {"crm": date(2027, 1, 31)}, ENDS, 1_800_000_000) + blob_series({"h1": 2})
    ran = subprocess.run((promtool, "check", "metrics"), input=series, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
