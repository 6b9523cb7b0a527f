"""What status tells while it goes on looking, and what it lets the site's Prometheus know."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

from sealift.host_paths import PUBLISHED
from tests.lab.commands import Commands
from tests.lab.conftest import Site

BUDGETS = "$(docker ps --all --quiet --filter name=sealift-budgets)"
PATIENCE_S = 120


def test_watching_tells_a_change_and_its_end(site: Site, commands: Commands) -> None:
    child = commands._start("sealift", "status", "lab", "--watch", "--every", "1")
    assert child.stdout
    impatient = threading.Timer(PATIENCE_S, child.kill)
    impatient.start()

    def heard(wanted: str) -> bool:
        return any(wanted in line for line in child.stdout or ())

    try:
        assert heard("looking at 3 hosts")  # what is slow on a machine that all hosts share is told behind it
        commands.on("h2", f"docker stop {BUDGETS}")
        assert heard("Z now       h2: service budgets exited")
        commands.on("h2", f"docker start {BUDGETS}")
        assert heard("Z no longer h2: service budgets exited")
        os.killpg(child.pid, signal.SIGINT)
        assert child.wait(30) == 0
    finally:
        impatient.cancel()
        child.kill()
        child.communicate()


def test_the_sites_prometheus_knows_what_was_published(site: Site, commands: Commands) -> None:
    commands.ok("sealift", "status", "lab", "--publish")
    written = commands.on("h1", f"cat {PUBLISHED}")
    assert 'sealift_fleet_answers{of="h3"} 1\n' in written
    assert 'sealift_fleet_differences{of="h2"} 0\n' in written
    ask = "promtool query instant --format=json http://localhost:9090 sealift_fleet_answers"
    end = time.monotonic() + PATIENCE_S
    while True:
        answer = commands.on("h1", f"docker exec sealift-prometheus-prometheus-1 {ask}")
        found = {each["metric"]["of"]: each["value"][1] for each in json.loads(answer)}
        if found == {"h1": "1", "h2": "1", "h3": "1"}:
            return
        assert time.monotonic() < end, answer
        time.sleep(1)


def test_alerts_of_the_sites_prometheus_are_shown_or_said_to_be_unknown(
    site: Site, commands: Commands
) -> None:
    known = json.loads(commands.run("sealift", "status", "lab", "--json").out)
    assert all(isinstance(host["alerts"], list) for host in known)
    commands.on("h1", "docker pause sealift-prometheus-prometheus-1")
    try:
        ran = commands.run("sealift", "status", "lab", "--json", "--limit", "h2")
    finally:
        commands.on("h1", "docker unpause sealift-prometheus-prometheus-1")
    assert [host["alerts"] for host in json.loads(ran.out)] == [None]
    assert "alerts are unknown: " in ran.err
