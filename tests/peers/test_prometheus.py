"""What the demo's Prometheus does with our rules when it can no longer write down what it reads."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.peers.registry import free_port
from tests.unit.rules import render_rules
from tests.watch_tools import program

_PATIENCE_S = 60
# Of a server that keeps everything, five minutes: a series that is not written goes stale so long after.
_STALE = "10s"
_CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [alerts.yml, objectives.yml, naive.yml]
scrape_configs:
  - job_name: prometheus
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{host: h1}}}}]
"""
# What a heartbeat usually is.
_NAIVE = "groups: [{name: naive, rules: [{alert: Naive, expr: vector(1)}]}]\n"


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "small", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Its address, and its disk, which is small."""
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(_CONFIGURATION.format(port=port))
    for name, content in render_rules().items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "naive.yml").write_text(_NAIVE)
    with _small_disk(tmp_path / "disk") as disk, (tmp_path / "log").open("wb") as log:
        command = [
            str(program("prometheus", "prometheus", tmp_path)),
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={disk / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--query.lookback-delta={_STALE}",
        ]
        with subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                yield f"http://127.0.0.1:{port}", disk
            finally:
                process.terminate()


def _firing(url: str) -> set[str]:
    try:
        answer = requests.get(f"{url}/api/v1/alerts", timeout=5)
    except requests.ConnectionError:
        return set()
    if answer.status_code == 503:  # it is reading what it has
        return set()
    found = answer.json()["data"]["alerts"]
    return {each["labels"]["alertname"] for each in found if each["state"] == "firing"}


def _until(done: Callable[[], object]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not done():
        assert time.monotonic() < end, "has not come"
        time.sleep(0.2)


def test_a_full_disk_ends_the_signs_of_life_and_room_brings_them_back(prometheus: tuple[str, Path]) -> None:
    url, disk = prometheus
    _until(lambda: "Watchdog" in _firing(url))
    with (disk / "full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        while True:
            full.write(b"\0" * 4096)
    _until(lambda: "Watchdog" not in _firing(url))
    assert _firing(url) == {"Naive"}
    assert requests.get(f"{url}/-/healthy", timeout=5).ok
    (disk / "full").unlink()
    _until(lambda: "Watchdog" in _firing(url))
    _until(lambda: "PrometheusFailing" in _firing(url))
