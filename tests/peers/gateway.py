"""The gateway that is rendered for a host, on loopback: the demo's Envoy, before a stand-in of Ollama."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from pydantic import SecretStr

from sealift.host.generation import render_generation
from sealift.host.inputs import SiteFiles
from sealift.host.judged import judged
from sealift.host.wanted import TEMPLATES
from sealift.release.locked import Lock
from sealift.services import GATEWAY
from tests.peers.registry import free_port
from tests.unit.fleet_site import BUNDLE, MODEL, site_settings

CLIENTS = ("alice", "bob", "carol")  # each with a key of its name and `-key`
ROLE = "chat"
_READY_S = 30
_NAME = "localhost"


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


class Ollama(BaseHTTPRequestHandler):
    """Says for every call which it was, after the seconds of `x-wait`, with the status of `x-status`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        time.sleep(float(self.headers["x-wait"] or 0))
        body = json.dumps({"call": f"{self.command} {self.path}"}).encode()
        self.send_response(int(self.headers["x-status"] or 200))
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            with suppress(BrokenPipeError):  # the gateway has given up
                self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_POST()

    def do_HEAD(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@dataclass(frozen=True)
class Gateway:
    """One that runs.

    + certificate: its own, PEM
    """

    port: int
    certificate: Path

    def ask(self, method: str, path: str, client: str | None = "alice", **options: Any) -> requests.Response:
        """One request, with a client's key.

        + path: sent as it is written
        """
        headers = {**options.pop("headers", {})}
        if client:
            headers["Authorization"] = f"Bearer {client}-key"
        with requests.Session() as session:
            session.trust_env = False
            url = f"https://{_NAME}:{self.port}"
            request = session.prepare_request(requests.Request(method, url, headers=headers, **options))
            request.url = f"{url}{path}"
            return session.send(request, verify=str(self.certificate), timeout=30)


@contextmanager
def serving(
    program: Path, folder: Path, lock: Lock, *, ollama: bool = True, **settings: Any
) -> Iterator[Gateway]:
    """Run the gateway of a host.

    + lock: what its release pins
    + ollama: whether it runs
    + settings: of the gateway
    """
    certificate, key = pair(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), Ollama) as upstream:
        threading.Thread(target=upstream.serve_forever, args=(0.05,), daemon=True).start()
        port = free_port()
        files = SiteFiles(
            {client: (SecretStr(f"{client}-key"),) for client in CLIENTS}, certificate.read_bytes(), key
        )
        gateway = {"certificate": "x", "key": "x", "ca": "x", **settings}
        generation = render_generation(
            site_settings(gateway=gateway), lock, BUNDLE, frozenset(), {ROLE: MODEL}, files, TEMPLATES
        )
        configuration = _here(
            json.loads(judged(generation, GATEWAY)),
            port,
            upstream.server_address[1] if ollama else free_port(),
        )
        (folder / "envoy.json").write_text(json.dumps(configuration))
        with running(program, folder, folder / "envoy.json"):
            found = Gateway(port, certificate)
            _wait(found, folder, 200 if ollama else 503)
            yield found
        upstream.shutdown()


def _here(configuration: dict[str, Any], port: int, upstream: int) -> dict[str, Any]:
    """The same, with addresses of this machine."""
    static = configuration["static_resources"]
    (listener,), (cluster,) = static["listeners"], static["clusters"]
    listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    ((endpoint,),) = (each["lb_endpoints"] for each in cluster["load_assignment"]["endpoints"])
    endpoint["endpoint"]["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": upstream}
    configuration["admin"]["address"]["socket_address"]["port_value"] = 0
    return configuration


@contextmanager
def running(program: Path, folder: Path, configuration: Path) -> Iterator[None]:
    """Run Envoy.

    + folder: gets its log
    """
    command = (program, "-c", configuration, "--concurrency", "1", "--disable-hot-restart")
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as child:
        try:
            yield
        finally:
            child.terminate()


def pair(folder: Path) -> tuple[Path, bytes]:
    """A certificate of its own, and its key."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    subject = ("-subj", f"/CN={_NAME}", "-addext", f"subjectAltName=DNS:{_NAME}", "-days", "1")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
    files = ("-keyout", key, "-out", certificate)
    subprocess.run(("openssl", "req", "-x509", *curve, *subject, *files), check=True, capture_output=True)
    return certificate, key.read_bytes()


def _wait(gateway: Gateway, folder: Path, healthy: int) -> None:
    end = time.monotonic() + _READY_S
    while time.monotonic() < end:
        try:
            if gateway.ask("GET", "/healthz", None).status_code == healthy:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"envoy does not answer:\n{(folder / 'log').read_text()}")
