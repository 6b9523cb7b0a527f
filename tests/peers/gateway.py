"""The gateway that is rendered for a host, on loopback: the demo's Envoy, before a stand-in of Ollama."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from pydantic import SecretStr

from sealift.host.generation import render_generation
from sealift.host.given import SiteFiles
from sealift.host.judged import judged
from sealift.host.wanted import TEMPLATES
from sealift.release.locked import Lock
from sealift.release.locked_model import Vision
from sealift.release.role import Role
from sealift.services import GATEWAY
from sealift.site.secrets import ClientKeys, Secrets
from tests.peers.registry import free_port
from tests.peers.stand_in import Ollama
from tests.unit.fleet_site import BUNDLE, MODEL, SHAPE, lock, site_settings


def keys_of(client: str, **more: Any) -> ClientKeys:
    """A client whose key is its name and `-key`."""
    return ClientKeys.model_construct(keys=(SecretStr(f"{client}-key"),), **more)


CLIENTS, ROLE = ("alice", "bob", "carol"), "chat"
SECRETS = Secrets.model_construct(api_keys={name: keys_of(name) for name in CLIENTS})
_READY_S = 30
VISION = Vision(image=896, patch=14, width=1152, heads=16)
NEWEST = "docker.io/ollama/ollama:0.32.15"
_NAME = "localhost"
_LOGS = ("--file-flush-interval-msec", "1000")  # as its container has it


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
class Shown:
    """What a gateway shows: certificate and key, PEM, and the file with its CA."""

    certificate: bytes
    key: bytes
    ca: Path

    @classmethod
    def of_its_own(cls, folder: Path) -> Shown:
        """One that no CA has signed."""
        certificate, key = pair(folder)
        return cls(certificate.read_bytes(), key, certificate)


@dataclass(frozen=True)
class Gateway:
    """One that runs.

    + certificate: the CA's that its own is of, PEM
    + process: its number
    + calls: that have come through to the stand-in of Ollama
    + lists: what that answers, by path
    """

    port: int
    certificate: Path
    process: int = 0
    calls: list[str] = field(default_factory=list)
    lists: dict[str, bytes] = field(default_factory=dict)

    def memory_mib(self) -> int:
        """MiB that Envoy has resident."""
        return memory_mib(self.process)

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


def memory_mib(process: int) -> int:
    """MiB that a process has resident."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) >> 10


def message_of(answer: requests.Response, path: str, param: str | None = None) -> str:
    """What a refusal says; it must have the form of the API that was asked.

    + param: the key of the body that it is about, which OpenAI's form names
    """
    assert answer.headers["content-type"] == "application/json"
    said = answer.json()
    if path.startswith("/v1/messages"):
        assert said.keys() == {"type", "error", "request_id"} and said["type"] == "error"
        assert said["request_id"] == answer.headers["x-request-id"]
        assert said["error"].keys() == {"type", "message"}
        message = said["error"]["message"]
    elif path.startswith("/v1/"):
        assert said.keys() == {"error"}
        assert said["error"].keys() == {"message", "type", "param", "code"}
        assert said["error"]["param"] == param
        message = said["error"]["message"]
    else:
        assert said.keys() == {"error"}
        message = said["error"]
    assert isinstance(message, str)
    assert message.endswith(f"Request {answer.headers['x-request-id']}.")
    return message


def lock_of(ollama: str) -> Lock:
    """A release with this image of Ollama."""
    found = lock()
    image = found.images["ollama"].model_copy(update={"name": ollama})
    return found.model_copy(update={"images": {**found.images, "ollama": image}})


@contextmanager
def serving(
    program: Path,
    folder: Path,
    lock: Lock,
    *,
    secrets: Secrets = SECRETS,
    ollama: bool = True,
    instead: int | None = None,
    adapt: Callable[[dict[str, Any]], object] = id,
    workers: int = 1,
    shown: Shown | None = None,
    roles: Sequence[str] = (ROLE,),
    **settings: Any,
) -> Iterator[Gateway]:
    """Run the gateway of a host.

    + lock: what its release pins
    + secrets: of its site
    + ollama: whether it runs
    + instead: the port of another stand-in of it
    + adapt: changes Envoy's configuration
    + workers: threads of Envoy
    + shown: its certificate; without one, it is of its own
    + roles: that the host serves
    + settings: of the gateway
    """
    shown = shown or Shown.of_its_own(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), Ollama) as upstream:
        threading.Thread(target=upstream.serve_forever, args=(0.05,), daemon=True).start()
        port = free_port()
        keys = secrets.in_force(datetime.now(UTC).date())
        files = SiteFiles(keys, shown.certificate, shown.key, secrets.allowed, secrets.api_keys)
        gateway = {"certificate": "x", "key": "x", "ca": "x", **settings}
        generation = render_generation(
            site_settings(gateway=gateway),
            _with_roles(lock, roles),
            BUNDLE,
            frozenset(),
            dict.fromkeys(roles, MODEL),
            files,
            TEMPLATES,
        )
        configuration = _here(
            json.loads(judged(generation, GATEWAY)),
            port,
            instead or (upstream.server_address[1] if ollama else free_port()),
        )
        adapt(configuration)
        (folder / "envoy.json").write_text(json.dumps(configuration))
        with running(program, folder, folder / "envoy.json", workers) as process:
            found = Gateway(port, shown.ca, process)
            upstream.calls, upstream.lists = found.calls, found.lists  # type: ignore[attr-defined]
            _wait(found, folder, 200 if ollama else 503)
            yield found
        upstream.shutdown()


def _with_roles(of: Lock, roles: Sequence[str]) -> Lock:
    """The same with these roles, whose model sees images."""
    model = of.models[MODEL].model_copy(update={"shape": SHAPE.model_copy(update={"vision": VISION})})
    release = of.release.model_copy(update={"roles": {role: Role(model=MODEL) for role in roles}})
    return of.model_copy(update={"release": release, "models": {MODEL: model}})


def _here(configuration: dict[str, Any], port: int, upstream: int) -> dict[str, Any]:
    """The same, with addresses of this machine."""
    static = configuration["static_resources"]
    (listener,) = static["listeners"]
    listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    for cluster in static["clusters"]:
        ((endpoint,),) = (each["lb_endpoints"] for each in cluster["load_assignment"]["endpoints"])
        endpoint["endpoint"]["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": upstream}
    configuration["admin"]["address"]["socket_address"]["port_value"] = 0
    return configuration


@contextmanager
def running(program: Path, folder: Path, configuration: Path, workers: int = 1) -> Iterator[int]:
    """Run Envoy. Gives the number of its process.

    + folder: gets its log
    + workers: threads
    """
    command = (program, "-c", configuration, "--concurrency", str(workers), "--disable-hot-restart", *_LOGS)
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as child:
        try:
            yield child.pid
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
