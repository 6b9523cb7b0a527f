"""The real Envoy of the demo release on loopback, before a server that notes what reaches it."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from pydantic import SecretStr

from sealift.host.client_inputs import CLIENT_HEADER
from sealift.host.given import SiteFiles
from sealift.host.judged import judged
from sealift.host.wanted import want
from sealift.release.locked import Lock
from sealift.services import GATEWAY
from tests.fuzz.bodies import CONTEXT
from tests.fuzz.guard import ALLOWED as OF_CLIENT
from tests.fuzz.guard import CLIENT, ROLES
from tests.peers.gateway import VISION, memory_mib, running
from tests.peers.registry import free_port
from tests.unit import samples
from tests.unit.fleet_site import BUNDLE, DATA, lock, site_settings

BLIND = "blind:1m"  # a model that sees no images
CLIENTS = (CLIENT, "bob", "carol", "dave")  # each with a key of its name and `-key`
ALLOWED = {CLIENT: OF_CLIENT, "bob": ("secret",), "dave": ("elsewhere",)}  # carol may ask for all
_READY = 30  # seconds


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
    process: int
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

    def look(self, path: str, client: str = "alice") -> requests.Response:
        """GET."""
        url, sent = f"http://127.0.0.1:{self.port}{path}", {"Authorization": f"Bearer {client}-key"}
        return self._session.get(url, headers=sent, timeout=30)

    def memory_mib(self) -> int:
        """MiB that the process has resident."""
        return memory_mib(self.process)


@contextmanager
def serving(program: Path, folder: Path, of: dict[str, Any]) -> Iterator[Gateway]:
    """Run Envoy with one worker.

    + of: its configuration, from `configuration`
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), _Upstream) as upstream:
        port = free_port()
        here = _on_loopback(of, port, upstream.server_address[1])
        (folder / "envoy.json").write_text(json.dumps(here))
        with running(program, folder, folder / "envoy.json") as process:
            gateway = Gateway(port, process)
            upstream.gateway = gateway  # type: ignore[attr-defined]
            threading.Thread(target=upstream.serve_forever, daemon=True).start()
            _wait(gateway, folder / "log")
            yield gateway
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
    while time.monotonic() < end:
        try:
            if gateway._session.get(f"http://127.0.0.1:{gateway.port}/", timeout=2).status_code == 401:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError(f"envoy does not answer:\n{log.read_text()}")


def configuration(load_options: str) -> dict[str, Any]:
    """The gateway of a host, as its image judges it before it is activated: all live files in one.

    + load_options: the site's setting
    """
    of: dict[str, dict[str, Any]] = {role: {"model": samples.MODEL} for role in ROLES}
    of["embed"] = {"model": BLIND}
    of["secret"]["parameters"] = {"temperature": 0, "top_p": 0.9}
    # as many requests as the tests make, and a body of 16 MiB beside its keys
    more = {"load_options": load_options, "requests_per_minute": 1_000_000, "max_request_mib": 17}
    target = want(
        "h1",
        frozenset(),
        site_settings(gateway={**DATA["gateway"], **more}, ollama={"context_length": CONTEXT}),
        _lock(of),
        BUNDLE,
        {role: its["model"] for role, its in of.items()},
        SiteFiles({each: (SecretStr(f"{each}-key"),) for each in CLIENTS}, b"", b"", ALLOWED),
    )
    found: dict[str, Any] = json.loads(judged(target.generation, GATEWAY))
    return found


def _lock(roles: dict[str, dict[str, Any]]) -> Lock:
    """Of two models: one sees images."""
    models = {samples.MODEL: {"archive": "model.tar"}, BLIND: {"archive": "model.tar"}}
    found = lock(samples.release(models=models, roles=roles))
    blind = found.models[samples.MODEL]
    seeing = blind.model_copy(update={"shape": blind.shape.model_copy(update={"vision": VISION})})
    return found.model_copy(update={"models": {samples.MODEL: seeing, BLIND: blind}})


def http_filters(of: dict[str, Any]) -> list[dict[str, Any]]:
    """The filters of a configuration, in their order."""
    found: list[dict[str, Any]] = _manager(of)["http_filters"]
    return found


def _manager(of: dict[str, Any]) -> dict[str, Any]:
    (listener,) = of["static_resources"]["listeners"]
    found: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def _on_loopback(of: dict[str, Any], port: int, upstream: int) -> dict[str, Any]:
    """The same without TLS, before another server than Ollama.

    Every path has a route, so that the guard alone closes one.
    """

    def address(of: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": of}}

    here = copy.deepcopy(of)
    del here["admin"]
    (listener,), (cluster, *_) = here["static_resources"]["listeners"], here["static_resources"]["clusters"]
    here["static_resources"]["clusters"] = [cluster]
    listener["address"] = address(port)
    del listener["filter_chains"][0]["transport_socket"]
    (host,) = _manager(here)["route_config"]["virtual_hosts"]
    host["routes"] = [{"match": {"prefix": "/"}, "route": {"cluster": cluster["name"], "timeout": "0s"}}]
    cluster["type"] = "STATIC"
    (endpoints,) = cluster["load_assignment"]["endpoints"]
    endpoints["lb_endpoints"][0]["endpoint"]["address"] = address(upstream)
    return here
