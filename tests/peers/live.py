"""A service of Envoy's as it lies on a host, with its live files, run here by the real Envoy."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from sealift.host.generation import Generation
from sealift.service import Service
from sealift.services import ADMIN_PORT, ANSWERS_LOG
from tests.peers import gateway
from tests.peers.registry import free_port

_PATIENCE_S = 15


class LiveEnvoy:
    """A folder with the service's files, and Envoy that reads them.

    + port: that it listens on
    + here: what stands for what a host has elsewhere
    """

    def __init__(self, folder: Path, service: Service, here: Mapping[str, str]) -> None:
        self.folder, self.service = folder, service
        self.port, self.admin = free_port(), free_port()
        self._here = {
            service.live.target if service.live else "": str(folder / "live"),
            ANSWERS_LOG: str(folder / "answers"),
            f"port_value: {ADMIN_PORT}": f"port_value: {self.admin}",
            f"port_value: {service.ports[0].inside}": f"port_value: {self.port}",
            **here,
        }
        (folder / "live").mkdir(parents=True, exist_ok=True)

    def place(self, of: Generation, *names: str) -> None:
        """Rename live files into their folder, all of them where none is named."""
        for name in names or sorted(of.live(self.service)):
            (self.folder / name).write_text(self._text(of.live(self.service)[name].content))
            (self.folder / name).rename(self.folder / "live" / name)

    @contextmanager
    def running(self, program: Path, of: Generation, workers: int = 1) -> Iterator[int]:
        """Run Envoy from these files. Gives the number of its process.

        + workers: threads of Envoy
        """
        self.place(of)
        bootstrap = self.folder / "envoy.yaml"
        bootstrap.write_text(self._text(of.files[f"{self.service.name}/envoy.yaml"].content))
        with gateway.running(program, self.folder, bootstrap, workers) as process:
            self.takes(of)
            yield process

    def says(self, path: str) -> str:
        """What its admin interface says."""
        return requests.get(f"http://127.0.0.1:{self.admin}{path}", timeout=5).text

    def takes(self, of: Generation) -> None:
        """Wait until Envoy goes by all live files."""
        missing, end = [""], time.monotonic() + _PATIENCE_S
        while missing and time.monotonic() < end:
            time.sleep(0.05)
            try:
                said = self.says("/stats?filter=version_text")
            except (requests.ConnectionError, requests.Timeout):
                continue
            versions = of.versions(self.service).items()
            missing = [name for name, version in versions if f'{name}: "{version}"' not in said]
        assert missing == [], (self.folder / "log").read_text()[-4000:]

    def _text(self, content: bytes) -> str:
        text = content.decode()
        for there, here in self._here.items():
            text = text.replace(there, here)
        return text
