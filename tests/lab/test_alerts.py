"""Alerts on the lab's hosts: each is really caused, is told, and its end is told, too.

What would take hours is brought about by thresholds that the lab's figures miss, or by files with old times.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.commands import Commands
from tests.lab.conftest import Site
from tests.lab.test_preflight import inventory_with

_PATIENCE_S = 150
METRICS = "/var/lib/sealift/metrics"
ALERTS = "/var/lib/sealift/alerts"
LIBRARY = "/var/lib/sealift/models/manifests/registry.ollama.ai/library"
QUICK = {"hold_s": 5, "window_s": 60}
# Published ports of h3 are cut off, as by a firewall or a cable; its SSH is not.
CUT, JOINED = "iptables -I FORWARD -j DROP", "iptables -D FORWARD -j DROP"
DAY = 86400

Told = set[tuple[str, str]]
"""Alerts and hosts."""

# What is missed by any figure of the lab, and which alert that is, on every host.
MISSED: dict[str, tuple[float, str]] = {
    "answer_s": (0.01, "AnswersSlow"),
    "memory_gib": (0.01, "MemoryHigh"),
    "tokens_per_second": (100_000, "TokensSlow"),
    "disk_free_percent": (99.99, "DiskLow"),
    "certificate_days": (100_000, "CertificateExpiring"),
    "clock_s": (1e-6, "ClockOff"),
}


def _settings(commands: Commands, **alerts: float) -> dict[str, Any]:
    tls = commands.site / "tls"
    return {
        "certificate": str(tls / "monitor.crt"),
        "key": str(tls / "monitor.key"),
        "scrape_interval_s": 2,
        "probe_interval_s": 5,
        "alerts": {**QUICK, **alerts},
    }


@pytest.fixture(scope="module")
def watched(site: Site, commands: Commands) -> Iterator[Commands]:
    """The lab; afterwards it is set as it was, and nothing is wrong with it."""
    yield commands
    commands.ok("sealift", "apply", "lab")


def _apply(commands: Commands, folder: Path, **alerts: float) -> Path:
    folder.mkdir()
    inventory = inventory_with(folder, monitoring=_settings(commands, **alerts))
    commands.ok("sealift", "apply", inventory)
    return inventory


def _lines(commands: Commands) -> list[dict[str, Any]]:
    said = commands.on("h1", f"cat {ALERTS}/alerts.jsonl.1 {ALERTS}/alerts.jsonl 2>/dev/null || true")
    return [json.loads(line) for line in said.splitlines()]


@contextmanager
def _from_now(commands: Commands) -> Iterator[Callable[[str], Told]]:
    """What is told from now on, by `firing` or `resolved`."""
    before = len(_lines(commands))

    def told(status: str) -> Told:
        lines = _lines(commands)[before:]
        return {(line["alert"], line["labels"].get("host", "")) for line in lines if line["status"] == status}

    yield told


def _until(told: Callable[[str], Told], status: str, expected: Told, seconds: float = _PATIENCE_S) -> None:
    end = time.monotonic() + seconds
    while missing := expected - told(status):
        assert time.monotonic() < end, f"not {status}: {sorted(missing)}; {status} are {sorted(told(status))}"
        time.sleep(1)


def test_figures_that_miss_their_thresholds_are_told_and_their_ends(
    watched: Commands, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    with _from_now(watched) as told:
        # The probe's answers take longer than that.
        settings = {name: missed for name, (missed, _) in MISSED.items()}
        _apply(watched, tmp_path / "missed", **settings)
        watched.ok("sealift", "ask", "lab", "chat", "What is the capital of France?")
        expected = {(alert, host) for _, alert in MISSED.values() for host in ("h1", "h2", "h3")}
        _until(told, "firing", expected)
        record_property("seconds until all were told", time.monotonic() - began)
        _apply(watched, tmp_path / "met")
        _until(told, "resolved", expected)
        record_property("seconds until all ends were told", time.monotonic() - began)


def test_what_goes_wrong_on_hosts_is_told_and_that_it_is_right_again(
    watched: Commands, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    _apply(watched, tmp_path / "quick")
    old = int(time.time()) - 9 * DAY
    wrong = {
        "h1": f"mv {LIBRARY}/classify {LIBRARY}/.classify && docker stop -t 1 sealift-alertlog-alertlog-1",
        "h2": f"docker stop -t 1 sealift-ollama-ollama-1 && echo 'no series' >{METRICS}/broken.prom"
        f" && echo sealift_backup_timestamp_seconds {old} >{METRICS}/backup.prom",
        "h3": CUT,
    }
    right = {
        "h1": f"mv {LIBRARY}/.classify {LIBRARY}/classify",
        "h2": f"docker start sealift-ollama-ollama-1 && rm {METRICS}/broken.prom {METRICS}/backup.prom",
        "h3": JOINED,
    }
    expected = {
        ("ModelMissing", "h1"),
        ("NobodyTold", "h1"),
        ("RoleDown", "h2"),
        ("SuccessLow", "h2"),
        ("MetricsFileBroken", "h2"),
        ("BackupOld", "h2"),
        ("HostDown", "h3"),
    }
    began = time.monotonic()
    with _from_now(watched) as told:
        for host, script in wrong.items():
            watched.on(host, script)
        for _ in range(4):
            watched.refused("sealift", "ask", "lab", "chat", "Hello?", "--limit", "h2")
        _fires(watched, "NobodyTold")
        watched.on("h1", "docker start sealift-alertlog-alertlog-1")
        _until(told, "firing", expected)
        record_property("seconds until all were told", time.monotonic() - began)
        # What follows from worse is not told.
        assert told("firing") & {("TargetDown", "h3"), ("RoleDown", "h1")} == set()
        for host, script in right.items():
            watched.on(host, script)
        _until(told, "resolved", expected)
        record_property("seconds until all ends were told", time.monotonic() - began)


def _fires(commands: Commands, alert: str) -> None:
    """Wait until Prometheus itself says that an alert fires."""
    end = time.monotonic() + _PATIENCE_S
    while alert not in commands.run("sealift", "status", "lab", "--json").out:
        assert time.monotonic() < end, f"{alert} does not fire"
        time.sleep(2)
