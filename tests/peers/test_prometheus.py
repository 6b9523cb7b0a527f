"""What the demo's Prometheus does with our rules when it can no longer keep what it reads."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from sealift.host.alert_settings import AlertSettings
from tests.peers.registry import free_port
from tests.unit.rules import render_rules
from tests.watch_tools import program

_PATIENCE_S = 60
HOUR = 3600
# Of a server that keeps everything, five minutes: a series that is not written goes stale so long after.
_STALE = "10s"
_CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [alerts.yml, objectives.yml, naive.yml]
scrape_configs:
  - job_name: prometheus
    static_configs: [{{targets: ["127.0.0.1:{port}"], labels: {{host: h1}}}}]
  - job_name: node
    static_configs: [{{targets: {nodes}, labels: {{host: h1}}}}]
    # This machine's own disks may fill as well.
    metric_relabel_configs: [{{source_labels: [mountpoint], regex: ".*/filling", action: keep}}]
"""
# Its own alerts look back for hours, so that nobody misses them. That they clear is seen sooner.
_SOONER = {"[1h]": "[20s]", "[6h]": "[20s]"}
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


@contextmanager
def _running(
    folder: Path, disk: Path, *flags: str, hold_s: int = AlertSettings().hold_s, nodes: Sequence[str] = ()
) -> Iterator[str]:
    """Prometheus with our rules, which reads itself. Gives its address.

    + folder: takes its program, configuration and log
    + disk: takes its data
    + hold_s: as the site sets it
    + nodes: node exporters that it reads, too
    """
    port = free_port()
    (folder / "prometheus.yml").write_text(_CONFIGURATION.format(port=port, nodes=json.dumps([*nodes])))
    for name, content in render_rules(AlertSettings(hold_s=hold_s)).items():
        text = content.decode()
        for given, sooner in _SOONER.items() if name == "alerts.yml" else ():
            assert given in text
            text = text.replace(given, sooner)
        (folder / name).write_text(text)
    (folder / "naive.yml").write_text(_NAIVE)
    command = [
        str(program("prometheus", "prometheus", folder)),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={disk / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--query.lookback-delta={_STALE}",
        *flags,
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Its address, and its disk, which is small."""
    with _small_disk(tmp_path / "disk") as disk, _running(tmp_path, disk) as url:
        yield url, disk


def _firing(url: str) -> set[str]:
    try:
        answer = requests.get(f"{url}/api/v1/alerts", timeout=5)
    except requests.ConnectionError:
        return set()
    if answer.status_code == 503:  # it is reading what it has
        return set()
    found = answer.json()["data"]["alerts"]
    return {each["labels"]["alertname"] for each in found if each["state"] == "firing"}


def _until(done: Callable[[], object], seconds: float = _PATIENCE_S) -> None:
    end = time.monotonic() + seconds
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
    _until(lambda: "PrometheusFailing" not in _firing(url))


def _recorded(folder: Path) -> int:
    """Have Prometheus' data hold figures of this morning. Gives how many bytes they take."""
    chance, now = random.Random(1), int(time.time())  # noqa: S311 - no secret
    text = folder / "recorded.om"
    with text.open("w") as file:
        for number in range(40):
            file.writelines(
                f'old{{of="{number}"}} {chance.random()} {moment}\n'
                for moment in range(now - 5 * HOUR, now - 4 * HOUR, 15)
            )
        file.write("# EOF\n")
    command = ("promtool", "tsdb", "create-blocks-from", "openmetrics", text, folder / "data")
    subprocess.run((program("prometheus", *command[:1], folder), *command[1:]), check=True, stdout=-3)
    return sum(path.stat().st_size for path in (folder / "data").rglob("*") if path.is_file())


def _oldest(url: str) -> list[object]:
    asked = {"query": "count(count_over_time(old[6h]))"}
    found = requests.get(f"{url}/api/v1/query", params=asked, timeout=5).json()
    return list(found["data"]["result"])


@pytest.mark.exhaustive  # Prometheus looks at its size once a minute
def test_figures_that_go_before_their_time_for_lack_of_room_are_told(tmp_path: Path) -> None:
    taken = _recorded(tmp_path)
    room = f"--storage.tsdb.retention.size={taken + 60_000}B"
    with _running(tmp_path, tmp_path, "--storage.tsdb.retention.time=30d", room) as url:
        _until(lambda: "Watchdog" in _firing(url))
        assert "PrometheusForgets" not in _firing(url)
        assert _oldest(url) != []
        _until(lambda: "PrometheusForgets" in _firing(url), seconds=150)
        assert _oldest(url) == []
        # Without older figures there is nothing to forget for a while.
        _until(lambda: "PrometheusForgets" not in _firing(url))


@contextmanager
def _filling(folder: Path) -> Iterator[Path]:
    """A small disk of which less than half is free. Gives a file on it."""
    image, disk = folder / "image", folder / "filling"
    disk.mkdir()
    subprocess.run(["truncate", "--size=64M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, disk], check=True)
    try:
        (disk / "old").write_bytes(bytes(36 << 20))
        yield disk / "growing"
    finally:
        subprocess.run(["umount", disk], check=True)


@contextmanager
def _node(folder: Path) -> Iterator[str]:
    """A node exporter that shows disks. Gives its address."""
    address = f"127.0.0.1:{free_port()}"
    command = (
        program("node", "node_exporter", folder),
        *("--collector.disable-defaults", "--collector.filesystem", f"--web.listen-address={address}"),
    )
    with (folder / "node.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as child:
        try:
            yield address
        finally:
            child.terminate()


@pytest.mark.exhaustive
def test_a_disk_that_fills_is_told_before_it_is_full(tmp_path: Path) -> None:
    with (
        _filling(tmp_path) as growing,
        _node(tmp_path) as node,
        _running(tmp_path, tmp_path, hold_s=1, nodes=[node]) as url,
        growing.open("wb", buffering=0) as file,
    ):

        def grown() -> bool:
            file.write(bytes(64 << 10))
            os.fsync(file.fileno())
            return "DiskFilling" in _firing(url)

        assert not grown()
        _until(grown)
        assert file.tell() < 20 << 20  # there is room yet
        _until(lambda: "DiskFilling" not in _firing(url))
