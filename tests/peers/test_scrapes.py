"""What the demo's Prometheus believes of the hosts that it reads: each speaks for itself, and briefly."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from sealift.host.generation import _Renderer
from sealift.host.wanted import TEMPLATES
from sealift.host.watched import Target
from sealift.host.watched import Watched as Seen
from sealift.site.certificates import Names
from tests.peers.registry import free_port
from tests.unit.watched_site import Watched
from tests.watch_tools import program

SITE = Watched.made()
_PATIENCE_S = 60
_SAID = """\
ALERTS{alertname="HostDown",alertstate="firing",severity="critical"} 1
sealift:objective_kept{role="chat",objective="answer"} 0
prometheus_tsdb_wal_writes_failed_total 7
alertmanager_notifications_failed_total{integration="email"} 7
sealift_fleet_differences{of="h1"} 9
sealift_role_up{role="chat"} 1
"""
SAID = {
    "h1": _SAID,
    "h2": _SAID,
    "many": "".join(f'many{{n="{number}"}} 1\n' for number in range(50_001)),
    "large": f"# {'x' * (17 << 20)}\nfew 1\n",
    "long": f'long{{n="{"x" * 1001}"}} 1\n',
    "labels": "labels{" + ",".join(f'n{number}="1"' for number in range(65)) + "} 1\n",
}
"""By host. h1 watches."""


class _Host(BaseHTTPRequestHandler):
    said: bytes

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(self.said)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def _host(name: str, said: str, folder: Path) -> Iterator[int]:
    """Gives the port at which it says so, by TLS, to who watches."""
    pair = SITE.authority.issue(Names((name,)), datetime.now(UTC))
    for end, content in (("crt", pair.certificate), ("key", pair.key)):
        (folder / f"{name}.{end}").write_bytes(content)
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cadata=SITE.authority.pair.certificate.decode()
    )
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Host", (_Host,), {"said": said.encode()})) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address. It has read each host once at least."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    pairs = {"ca.crt": SITE.authority.pair.certificate, "monitor.crt": SITE.monitor.certificate}
    for name, content in {**pairs, "monitor.key": SITE.monitor.key}.items():
        (folder / name).write_bytes(content)
    with ExitStack() as stack:
        watched = [
            Seen(
                name,
                "127.0.0.1",
                (Target("node", stack.enter_context(_host(name, said, folder))),),
                watches=name == "h1",
            )
            for name, said in SAID.items()
        ]
        values = {"scrape_interval_s": 1, "tells": False, "host": "h1", "watched": watched}
        text = _Renderer(TEMPLATES)("prometheus/prometheus.yml.j2", values).decode()
        (folder / "prometheus.yml").write_text(text.replace("localhost:9090", f"127.0.0.1:{port}"))
        command = (
            str(program("prometheus", "prometheus", folder)),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        )
        log = stack.enter_context((folder / "log").open("wb"))
        process = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
        stack.callback(process.terminate)
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + _PATIENCE_S
        while set(_found(url, 'up{job="node"}')) != {f"up {name}" for name in SAID}:
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.2)
        yield url


def _found(url: str, expression: str) -> dict[str, str]:
    """Values by name and host."""
    try:
        answer = requests.get(f"{url}/api/v1/query", {"query": expression}, timeout=5)
    except requests.ConnectionError:
        return {}
    if not answer.ok:
        return {}
    found = answer.json()["data"]["result"]
    return {f"{each['metric']['__name__']} {each['metric']['host']}": each["value"][1] for each in found}


def test_a_host_says_nothing_of_others_and_nothing_that_who_watches_says(prometheus: str) -> None:
    read = _found(prometheus, '{job="node",__name__!~"up|scrape_.*",host=~"h1|h2"}')
    assert set(read) == {"sealift_role_up h1", "sealift_role_up h2", "sealift_fleet_differences h1"}


def test_what_says_too_much_counts_as_down_and_leaves_nothing(prometheus: str) -> None:
    up = _found(prometheus, 'up{job="node"}')
    assert {name for name, value in up.items() if value == "1"} == {"up h1", "up h2"}
    assert _found(prometheus, '{__name__=~"many|few|long|labels"}') == {}


def test_prometheus_speaks_of_itself(prometheus: str) -> None:
    expression = 'prometheus_tsdb_wal_writes_failed_total{host="h1"}'
    end = time.monotonic() + _PATIENCE_S
    while not (found := _found(prometheus, expression)):
        assert time.monotonic() < end
        time.sleep(0.2)
    assert found == {"prometheus_tsdb_wal_writes_failed_total h1": "0"}
