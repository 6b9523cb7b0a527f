"""An alert that begins while a wave soaks: the gate fails by what the site's own Prometheus says."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealift.host_paths import ARMED, CURRENT, METRICS
from tests.lab.commands import Commands
from tests.lab.conftest import Site
from tests.lab.test_preflight import inventory_with

pytestmark = pytest.mark.exhaustive

_SOAK_S = 240
_PATIENCE_S = 150
_DAY_S = 86400
# Alerts fire soon. What slow answers would cause, or requests that acceptance means to fail, is not told: one
# alert is to begin, and no other.
_ALERTS = {"hold_s": 20, "answer_s": 180, "tokens_per_second": 0.05, "success_percent": 1}
# Probes ask when they are started anew, which is before the rollout, and not again before its end.
_PROBED_S = 600
_BROKEN, _BACKUP = f"{METRICS}/broken.prom", f"{METRICS}/backup.prom"


@pytest.fixture
def inventory(site: Site, commands: Commands, tmp_path: Path) -> Iterator[Path]:
    """The lab's, with alerts that fire soon, and a depot of its own; at the end, hosts are as they were."""
    depot, folder, tls = tmp_path / "depot", tmp_path / "lab", commands.site / "tls"
    shutil.copytree(site.depot, depot, copy_function=lambda a, b: Path(b).hardlink_to(a))
    folder.mkdir()
    inventory = inventory_with(
        folder,
        depot=str(depot),
        rollout={"soak_s": _SOAK_S, "drain_s": 5},
        monitoring={
            "certificate": str(tls / "monitor.crt"),
            "key": str(tls / "monitor.key"),
            "scrape_interval_s": 5,
            "probe_interval_s": _PROBED_S,
            "degraded_s": 300,
            "alerts": _ALERTS,
        },
    )
    commands.ok("sealift", "apply", inventory)
    yield inventory
    commands.run("sealift", "rollout", inventory, "--abandon")  # of a test that failed
    commands.on("h2", f"rm -f {_BROKEN} {_BACKUP}")
    commands.ok("sealift", "apply", "lab")


def _firing(commands: Commands, inventory: Path) -> set[str]:
    """The alerts of h2, as Prometheus has them."""
    told = json.loads(commands.run("sealift", "status", inventory, "--json").out)
    return {alert["name"] for host in told if host["host"] == "h2" for alert in host["alerts"] or ()}


def _until(commands: Commands, inventory: Path, told: Callable[[set[str]], bool]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not told(found := _firing(commands, inventory)):
        assert time.monotonic() < end, f"alerts of h2: {found}"
        time.sleep(2)


def test_an_alert_that_begins_while_a_wave_soaks_brings_its_host_back(
    inventory: Path, commands: Commands, record_property: Callable[[str, object], None]
) -> None:
    """Another one, which fired before the host was changed, is not held against it."""
    generation = f"readlink {CURRENT}"
    before = commands.on("h2", generation)
    commands.on("h2", f"echo 'no series' >{_BROKEN}")
    _until(commands, inventory, lambda found: "MetricsFileBroken" in found)
    assert "BackupOld" not in _firing(commands, inventory)
    with (inventory.parent / "group_data/all.py").open("a") as settings:
        settings.write('gateway["requests_per_minute"] = 1001\n')

    told = []
    rollout = ("sealift", "rollout", inventory, "--limit", "h2", "--json")
    with commands.telling(*rollout, code=1) as events:
        for event in events:
            told.append(event)
            if (event["kind"], event.get("phase")) == ("began", "soak"):
                assert commands.on("h2", generation) != before
                old = int(time.time()) - 9 * _DAY_S
                commands.on("h2", f"echo sealift_backup_timestamp_seconds {old} >{_BACKUP}")
    armed = next(e for e in told if (e["kind"], e.get("phase")) == ("began", "arm"))
    assert "MetricsFileBroken" in armed["notes"]["h2"].splitlines()
    ended = {event["phase"]: event for event in told if event["kind"] == "ended"}
    record_property("seconds from the cause to the end of soaking", ended["soak"]["seconds"])
    assert ended["soak"]["failed"] == {"h2": "the alert BackupOld began to fire"}
    assert ended["soak"]["seconds"] < _SOAK_S
    assert [event["passed"] for event in told if event["kind"] == "judged"] == [False]
    assert ended["back"]["failed"] == {} and "confirm" not in ended
    assert (told[-1]["outcome"], told[-1]["sentence"]) == ("failed", "h2: the alert BackupOld began to fire")
    assert commands.on("h2", f"test ! -e {ARMED} && {generation}") == before

    assert {"BackupOld", "MetricsFileBroken"} <= _firing(commands, inventory)
    commands.on("h2", f"rm {_BROKEN} {_BACKUP}")
    _until(commands, inventory, lambda found: not found & {"BackupOld", "MetricsFileBroken"})
