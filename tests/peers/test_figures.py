"""Figures of the real Envoy and the real node exporter, and to whom they are shown."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from sealift.host.judged import judged
from sealift.services import ALERTMANAGER, FRONT, GATEWAY, MONITOR_NAME, NODE, PROMETHEUS
from sealift.site.certificates import CLIENT, Names, Pair, new_authority
from tests.peers.live import LiveEnvoy
from tests.peers.registry import free_port
from tests.unit.watched_site import Watched
from tests.watch_tools import program

READY_S = 30
REFUSED = (ssl.SSLError, ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)


@dataclass(frozen=True)
class Shown:
    """Something that shows figures on loopback."""

    port: int
    site: Watched
    folder: Path

    def ask(self, pair: Pair | None, path: str = "/metrics", method: str = "GET") -> tuple[int, str]:
        """The status of an answer and its body, asked with a client's certificate or with none."""
        context = ssl.create_default_context(cadata=self.site.authority.pair.certificate.decode())
        if pair:
            for name, content in (("c.crt", pair.certificate), ("c.key", pair.key)):
                (self.folder / name).write_bytes(content)
            context.load_cert_chain(self.folder / "c.crt", self.folder / "c.key")
        plain = socket.create_connection(("127.0.0.1", self.port), 10)
        with context.wrap_socket(plain, server_hostname="h1") as secured:
            connection = http.client.HTTPConnection("h1")
            connection.sock = secured
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


@pytest.fixture(scope="module")
def watched() -> Watched:
    return Watched.made()


@pytest.fixture(scope="module")
def envoy(envoy_program: Path, watched: Watched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A gateway whose Ollama is not there."""
    folder, port = tmp_path_factory.mktemp("gateway"), free_port()
    figures = f"port_value: {GATEWAY.ports[1].inside}"
    live = LiveEnvoy(
        folder, GATEWAY, {figures: f"port_value: {port}", "address: ollama,": "address: 127.0.0.1,"}
    )
    with live.running(envoy_program, watched.generation("monitor")):
        yield Shown(port, watched, folder)


@pytest.fixture(scope="module")
def node(watched: Watched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A node exporter with the flags that it gets on hosts."""
    folder, port = tmp_path_factory.mktemp("node"), free_port()
    generation = watched.generation("monitor")
    (folder / "web.yaml").write_bytes(generation.files["node/web.yaml"].content)
    (folder / "backup.prom").write_text("sealift_backup_timestamp_seconds 1\n")
    compose = yaml.safe_load(generation.files["node/compose.yaml"].content)["services"]["node"]
    flags = " ".join(compose["command"])
    for there, here in {
        f"=:{NODE.ports[0].inside}": f"=127.0.0.1:{port}",
        "/etc/node/web.yaml": str(folder / "web.yaml"),
        "=/rootfs/": "=/",
        "=/rootfs": "=/",
        "=/metrics": f"={folder}",
        "$$": "$",
    }.items():
        assert there in flags
        flags = flags.replace(there, here)
    command = [str(program("node", "node_exporter", folder)), *flags.split()]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as child:
        try:
            _wait(port, folder / "log")
            yield Shown(port, watched, folder)
        finally:
            child.terminate()


def _wait(port: int, log: Path) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.fixture(params=["envoy", "node"])
def shown(request: pytest.FixtureRequest) -> Shown:
    found: Shown = request.getfixturevalue(request.param)
    return found


def test_who_watches_sees_figures(shown: Shown) -> None:
    status, body = shown.ask(shown.site.monitor)
    assert status == 200 and "# TYPE " in body


@pytest.mark.parametrize("whose", ["nobody", "host", "stranger", "other CA"])
def test_nobody_else_does(shown: Shown, whose: str) -> None:
    now, site = datetime.now(UTC), shown.site
    pairs = {
        "nobody": None,
        "host": site.host,
        "stranger": site.authority.issue(Names(("stranger",)), now, CLIENT),
        "other CA": new_authority("other", now).issue(Names((MONITOR_NAME,)), now, CLIENT),
    }
    with pytest.raises(REFUSED):
        shown.ask(pairs[whose])
    assert shown.ask(site.monitor)[0] == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/", "/stats", "/config_dump", "/metrics/", "/metrics/../config_dump")),
        *(("GET", path) for path in ("/metrics?", "/metrics?format=json", "/metrics?usedonly&filter=x")),
        *(("POST", path) for path in ("/metrics", "/quitquitquit", "/logging?level=trace")),
    ],
)
def test_of_envoys_admin_interface_figures_alone_are_shown(envoy: Shown, method: str, path: str) -> None:
    assert envoy.ask(envoy.site.monitor, path, method)[0] == 404


def test_strangers_who_connect_and_say_nothing_blind_nobody(envoy: Shown) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", envoy.port), 10))
        assert envoy.ask(envoy.site.monitor)[0] == 200


def test_envoy_shows_what_is_read_and_no_more(envoy: Shown) -> None:
    lines = envoy.ask(envoy.site.monitor)[1].splitlines()
    failed = '{envoy_response_code_class="5",envoy_http_conn_manager_prefix="clients"}'
    assert f"envoy_http_downstream_rq_xx{failed} 0" in lines
    assert any(line.startswith("envoy_server_live") for line in lines), lines
    assert len(lines) < 200 and "key-of-the-probe" not in str(lines)


def test_the_node_exporter_shows_the_host_and_files_of_figures(node: Shown) -> None:
    body = node.ask(node.site.monitor)[1]
    for wanted in (
        "sealift_backup_timestamp_seconds 1",
        "node_time_seconds ",
        "node_memory_MemAvailable_bytes ",
        'node_cpu_seconds_total{cpu="0",mode="idle"}',
        "node_textfile_mtime_seconds{",
        "node_filesystem_avail_bytes{",
        "node_boot_time_seconds ",
    ):
        assert wanted in body, wanted


@pytest.mark.parametrize("service", [GATEWAY, FRONT], ids=lambda service: service.name)
def test_envoy_itself_takes_what_it_is_given(envoy_program: Path, watched: Watched, service: object) -> None:
    given = judged(watched.generation("monitor", "front"), service)  # type: ignore[arg-type] # one of two
    command = (envoy_program, "--mode", "validate", "--config-path", "/dev/fd/0")
    subprocess.run(command, input=given, check=True, capture_output=True)


def _judge(given: bytes, validate: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[bytes]:
    """As the image does, but for its folder /tmp."""
    paths = {"PATH": f"{folder}:{os.environ['PATH']}"}
    (folder / "tmp").mkdir()
    command = [word.replace("cd ", f"cd {folder}") for word in validate]
    return subprocess.run(command, input=given, env=paths, check=False, capture_output=True)


def test_prometheus_and_alertmanager_take_what_they_are_given(watched: Watched, tmp_path: Path) -> None:
    generation = watched.generation("monitor")
    for service, image, name in (
        (PROMETHEUS, "prometheus", "promtool"),
        (ALERTMANAGER, "alertmanager", "amtool"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        program(image, name, folder)
        ran = _judge(judged(generation, service), service.validate, folder)
        assert ran.returncode == 0, ran.stderr


def test_a_broken_rule_is_refused(watched: Watched, tmp_path: Path) -> None:
    program("prometheus", "promtool", tmp_path)
    generation = watched.generation("monitor")
    file = generation.files["prometheus/alerts.yml"]
    object.__setattr__(file, "content", b"groups: [{name: x, rules: [{alert: A, expr: 'up =='}]}]\n")
    ran = _judge(judged(generation, PROMETHEUS), PROMETHEUS.validate, tmp_path)
    assert ran.returncode != 0 and b"could not parse expression" in ran.stdout + ran.stderr
