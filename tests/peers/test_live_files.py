"""The gateway's live files, as they lie on a host, by the real Envoy: each is taken without a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from pydantic import SecretStr

from sealift.host.generation import Generation, render_generation
from sealift.host.inputs import OLLAMA_PORT, SiteFiles
from sealift.host.wanted import TEMPLATES
from sealift.services import ADMIN_PORT, ALLOWED, GATEWAY, GUARD
from tests.peers import gateway
from tests.peers.gateway import CLIENTS, ROLE, Gateway, Ollama
from tests.peers.registry import free_port
from tests.unit.fleet_site import BUNDLE, MODEL, lock, site_settings

_PATIENCE_S = 15
_KEEP = {"model": ROLE, "keep_alive": 0}
_ALICE, *_ = CLIENTS


class Host:
    """A folder with the gateway's files, and Envoy that reads them."""

    def __init__(self, folder: Path, upstream: int) -> None:
        self.folder = folder
        self.admin = free_port()
        self.certificate, self._key = gateway.pair(folder)
        self.gateway = Gateway(free_port(), self.certificate)
        # What a host has elsewhere, by what stands for it here.
        self._here = {
            GATEWAY.live.target if GATEWAY.live else "": str(folder / "live"),
            f"port_value: {ADMIN_PORT}": f"port_value: {self.admin}",
            f"port_value: {GATEWAY.ports[0].inside}": f"port_value: {self.gateway.port}",
            f"address: ollama, port_value: {OLLAMA_PORT}": f"address: 127.0.0.1, port_value: {upstream}",
        }
        (folder / "live").mkdir()

    def generation(self, allowed: Mapping[str, tuple[str, ...]], load_options: str) -> Generation:
        """What the host is to have."""
        keys = {client: (SecretStr(f"{client}-key"),) for client in CLIENTS}
        files = SiteFiles(keys, self.certificate.read_bytes(), self._key, allowed)
        paths = {"certificate": "x", "key": "x", "ca": "x", "load_options": load_options}
        settings = site_settings(gateway=paths)
        return render_generation(settings, lock(), BUNDLE, frozenset(), {ROLE: MODEL}, files, TEMPLATES)

    def place(self, of: Generation, *names: str) -> None:
        """Rename live files into their folder."""
        for name in names:
            (self.folder / name).write_text(self._text(of.live(GATEWAY)[name].content))
            (self.folder / name).rename(self.folder / "live" / name)

    def bootstrap(self, of: Generation) -> Path:
        """The file that Envoy starts from."""
        (self.folder / "envoy.yaml").write_text(self._text(of.files["gateway/envoy.yaml"].content))
        return self.folder / "envoy.yaml"

    def takes(self, of: Generation) -> None:
        """Wait until Envoy goes by all live files."""
        url, missing = f"http://127.0.0.1:{self.admin}/stats?filter=version_text", [""]
        end = time.monotonic() + _PATIENCE_S
        while missing and time.monotonic() < end:
            time.sleep(0.1)
            try:
                said = requests.get(url, timeout=5).text
            except requests.ConnectionError:
                continue
            missing = [n for n, version in of.versions(GATEWAY).items() if f'{n}: "{version}"' not in said]
        assert missing == [], (self.folder / "log").read_text()

    def _text(self, content: bytes) -> str:
        text = content.decode()
        for there, here in self._here.items():
            text = text.replace(there, here)
        return text


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Ollama) as upstream:
        upstream.calls = []  # type: ignore[attr-defined]
        threading.Thread(target=upstream.serve_forever, args=(0.05,), daemon=True).start()
        yield Host(tmp_path, upstream.server_address[1])
        upstream.shutdown()


def test_what_may_be_asked_changes_while_it_runs(host: Host, envoy_program: Path) -> None:
    first = host.generation({_ALICE: ("embed",)}, "ignore")
    host.place(first, *first.live(GATEWAY))
    with gateway.running(envoy_program, host.folder, host.bootstrap(first)):
        host.takes(first)
        assert host.gateway.ask("POST", "/api/chat", _ALICE, json=_KEEP).status_code == 403
        second = host.generation({_ALICE: ("embed", ROLE)}, "ignore")
        host.place(second, ALLOWED)
        host.takes(second)
        answer = host.gateway.ask("POST", "/api/chat", _ALICE, json=_KEEP)
        assert (answer.status_code, answer.headers["x-sealift-ignored"]) == (200, "keep_alive")
        third = host.generation({_ALICE: ("embed", ROLE)}, "refuse")
        host.place(third, GUARD)
        host.takes(third)
        answer = host.gateway.ask("POST", "/api/chat", _ALICE, json=_KEEP)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("keep_alive: would load or unload the model for everybody.")
