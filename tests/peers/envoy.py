"""The real Envoy of the demo release on loopback, before a server that notes what reaches it."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from tests.fuzz.guard import CLIENT_HEADER
from tests.peers.registry import free_port

CLIENTS = ("alice", "bob", "carol")  # each with a key of its name and `-key`
_READY = 30  # seconds
_TYPE = "type.googleapis.com/envoy.extensions"
_MANAGER = f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"


def program(image: Path, folder: Path) -> Path:
    """Envoy's program, out of its image.

    + image: as `docker save` wrote it
    """
    with tarfile.open(image) as archive:
        (saved,) = json.load(_member(archive, "manifest.json"))
        with tarfile.open(fileobj=_member(archive, saved["Layers"][-1])) as files:
            (folder / "envoy").write_bytes(_member(files, "usr/local/bin/envoy").read())
    (folder / "envoy").chmod(0o755)
    return folder / "envoy"


def _member(archive: tarfile.TarFile, name: str) -> io.BufferedReader:
    found = archive.extractfile(name)
    assert isinstance(found, io.BufferedReader)
    return found


@dataclass(frozen=True)
class Reached:
    """What came through."""

    path: str
    body: bytes
    client: str | None


@dataclass
class Gateway:
    """An Envoy that runs."""

    port: int
    child: subprocess.Popen[bytes]
    reached: list[Reached] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(
        self, path: str, body: bytes | Iterator[bytes] | None, client: str = "alice", **headers: str
    ) -> requests.Response:
        """POST a body.

        + headers: with _ for -
        """
        sent = {
            "Authorization": f"Bearer {client}-key",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        url = f"http://127.0.0.1:{self.port}{path}"
        return self._session.post(url, data=body, headers=sent, timeout=30)

    def memory_mib(self) -> int:
        """MiB that the process has resident."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) >> 10


@contextmanager
def serving(program: Path, folder: Path, guard: list[dict[str, Any]]) -> Iterator[Gateway]:
    """Run Envoy with one worker and the filters of the gateway that stand around the guard.

    + guard: entries of http_filters
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), _Upstream) as upstream:
        port = free_port()
        configuration = _configuration(port, upstream.server_address[1], guard)
        (folder / "envoy.json").write_text(json.dumps(configuration))
        command = (
            str(program),
            "-c",
            str(folder / "envoy.json"),
            "--concurrency",
            "1",
            "--disable-hot-restart",
        )
        with (folder / "log").open("wb") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            gateway = Gateway(port, child)
            upstream.gateway = gateway  # type: ignore[attr-defined]
            threading.Thread(target=upstream.serve_forever, daemon=True).start()
            _wait(gateway, folder / "log")
            yield gateway
        finally:
            child.terminate()
            child.wait(20)
            upstream.shutdown()


class _Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        client = self.headers[CLIENT_HEADER]
        self.server.gateway.reached.append(Reached(self.path, body, client))  # type: ignore[attr-defined]
        self.do_GET()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def _wait(gateway: Gateway, log: Path) -> None:
    end = time.monotonic() + _READY
    while gateway.child.poll() is None and time.monotonic() < end:
        try:
            if gateway._session.get(f"http://127.0.0.1:{gateway.port}/", timeout=2).status_code == 401:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError(f"envoy does not answer:\n{log.read_text()}")


def _configuration(port: int, upstream: int, guard: list[dict[str, Any]]) -> dict[str, Any]:
    def entry(name: str, type_: str, **rest: Any) -> dict[str, Any]:
        return {"name": name, "typed_config": {"@type": f"{_TYPE}.filters.http.{type_}", **rest}}

    def address(of: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": of}}

    filters = [
        entry(
            "envoy.filters.http.api_key_auth",
            "api_key_auth.v3.ApiKeyAuth",
            credentials=[{"client": client, "key": f"{client}-key"} for client in CLIENTS],
            key_sources=[{"header": "Authorization"}],
            forwarding={"header": CLIENT_HEADER, "hide_credentials": True},
        ),
        entry("envoy.filters.http.buffer", "buffer.v3.Buffer", max_request_bytes=17 << 20),
        *guard,
        entry("envoy.filters.http.router", "router.v3.Router"),
    ]
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "clients",
        "codec_type": "HTTP1",
        "always_set_request_id_in_response": True,
        "normalize_path": True,
        "merge_slashes": True,
        "http_filters": filters,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up"}}],
                }
            ]
        },
    }
    listener = {
        "name": "clients",
        "address": address(port),
        "per_connection_buffer_limit_bytes": 32768,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}]
    cluster = {
        "name": "up",
        "type": "STATIC",
        "connect_timeout": "5s",
        "per_connection_buffer_limit_bytes": 32768,
        "load_assignment": {"cluster_name": "up", "endpoints": endpoints},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}
