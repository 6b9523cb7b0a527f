"""The gateway's files as they lie on a host, for the real Envoy that reads them anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sealift.host.client_inputs import OLLAMA_PORT
from sealift.host.generation import Generation, render_generation
from sealift.host.given import SiteFiles
from sealift.host.wanted import TEMPLATES
from sealift.services import GATEWAY
from sealift.site.secrets import Secrets
from tests.peers import gateway
from tests.peers.gateway import ROLE, Gateway, lock_of
from tests.peers.live import LiveEnvoy
from tests.unit.fleet_site import BUNDLE, MODEL, site_settings


class Host:
    """A folder with the gateway's files, and Envoy that reads them.

    + upstream: the port of what stands for Ollama
    """

    def __init__(self, folder: Path, upstream: int) -> None:
        there = f"address: ollama, port_value: {OLLAMA_PORT}"
        self._envoy = LiveEnvoy(folder, GATEWAY, {there: f"address: 127.0.0.1, port_value: {upstream}"})
        self._certificate, self._key = gateway.pair(folder)
        self.gateway = Gateway(self._envoy.port, self._certificate)
        self.place, self.takes, self.says = self._envoy.place, self._envoy.takes, self._envoy.says

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

    def waiting(self, client: str) -> int:
        """Requests of a client that Envoy holds back."""
        said = self._envoy.says(f"/stats?filter=^cluster.{client}.upstream_rq_pending_active$")
        return int(said.rpartition(":")[2])

    def in_flight(self) -> int:
        """Clients that have requests at Ollama or on their way to it."""
        said = self.says("/stats?filter=^cluster.*upstream_rq_(pending_)?active").splitlines()
        return sum(not line.startswith("cluster.all_clients.") and line[-2:] != " 0" for line in said)

    @contextmanager
    def running(self, program: Path, of: Generation, workers: int = 1) -> Iterator[Gateway]:
        """Run Envoy from these files.

        + workers: threads of Envoy
        """
        with self._envoy.running(program, of, workers):
            yield self.gateway
