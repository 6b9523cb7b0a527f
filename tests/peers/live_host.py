"""The gateway's files as they lie on a host, for the real Envoy that reads them anew."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from sealift.host.generation import Generation, render_generation
from sealift.host.inputs import OLLAMA_PORT, SiteFiles
from sealift.host.wanted import TEMPLATES
from sealift.services import ADMIN_PORT, GATEWAY
from sealift.site.secrets import Secrets
from tests.peers import gateway
from tests.peers.gateway import ROLE, Gateway, lock_of
from tests.peers.registry import free_port
from tests.unit.fleet_site import BUNDLE, MODEL, site_settings

_PATIENCE_S = 15


class Host:
    """A folder with the gateway's files, and Envoy that reads them.

    + upstream: the port of what stands for Ollama
    """

    def __init__(self, folder: Path, upstream: int) -> None:
        self.folder = folder
        self._admin = free_port()
        self._certificate, self._key = gateway.pair(folder)
        self.gateway = Gateway(free_port(), self._certificate)
        # What a host has elsewhere, by what stands for it here.
        self._here = {
            GATEWAY.live.target if GATEWAY.live else "": str(folder / "live"),
            f"port_value: {ADMIN_PORT}": f"port_value: {self._admin}",
            f"port_value: {GATEWAY.ports[0].inside}": f"port_value: {self.gateway.port}",
            f"address: ollama, port_value: {OLLAMA_PORT}": f"address: 127.0.0.1, port_value: {upstream}",
        }
        (folder / "live").mkdir()

    def generation(self, secrets: Secrets, **settings: Any) -> Generation:
        """What the host is to have.

        + settings: of the gateway
        """
        keys = secrets.in_force(datetime.now(UTC).date())
        files = SiteFiles(keys, self._certificate.read_bytes(), self._key, secrets.allowed, secrets.api_keys)
        paths = {"certificate": "x", "key": "x", "ca": "x"}
        return render_generation(
            site_settings(gateway={**paths, **settings}),
            lock_of(gateway.NEWEST),
            BUNDLE,
            frozenset(),
            {ROLE: MODEL},
            files,
            TEMPLATES,
        )

    def place(self, of: Generation, *names: str) -> None:
        """Rename live files into their folder, all of them where none is named."""
        for name in names or sorted(of.live(GATEWAY)):
            (self.folder / name).write_text(self._text(of.live(GATEWAY)[name].content))
            (self.folder / name).rename(self.folder / "live" / name)

    def takes(self, of: Generation) -> None:
        """Wait until Envoy goes by all live files."""
        missing, end = [""], time.monotonic() + _PATIENCE_S
        while missing and time.monotonic() < end:
            time.sleep(0.1)
            try:
                said = self._says("version_text")
            except requests.ConnectionError:
                continue
            missing = [n for n, version in of.versions(GATEWAY).items() if f'{n}: "{version}"' not in said]
        assert missing == [], (self.folder / "log").read_text()

    def waiting(self, client: str) -> int:
        """Requests of a client that Envoy holds back."""
        return int(self._says(f"^cluster.{client}.upstream_rq_pending_active$").rpartition(":")[2])

    def _says(self, what: str) -> str:
        url = f"http://127.0.0.1:{self._admin}/stats"
        return requests.get(url, params={"filter": what}, timeout=5).text

    @contextmanager
    def running(self, program: Path, of: Generation, workers: int = 1) -> Iterator[Gateway]:
        """Run Envoy from these files.

        + workers: threads of Envoy
        """
        self.place(of)
        (self.folder / "envoy.yaml").write_text(self._text(of.files["gateway/envoy.yaml"].content))
        with gateway.running(program, self.folder, self.folder / "envoy.yaml", workers):
            self.takes(of)
            yield self.gateway

    def _text(self, content: bytes) -> str:
        text = content.decode()
        for there, here in self._here.items():
            text = text.replace(there, here)
        return text
