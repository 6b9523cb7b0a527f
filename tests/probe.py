"""The probe of roles, as a host runs it, for tests."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

CHECKOUT = Path(__file__).parents[1]
CLIENT = "probe"
KEY = f"{CLIENT}-key"
_PATIENCE_S = 300
Labels = Mapping[str, str]


def configure(folder: Path, port: int, ca: Path, roles: Mapping[str, Any], **more: Any) -> Path:
    """Write a configuration.

    + port: of the gateway, on loopback
    + roles: by name, what differs from a role that speaks
    + more: what else is different
    """
    (folder / "key").write_text(KEY)
    (folder / "metrics").mkdir(exist_ok=True)
    whole = {"kind": "chat", "model": "gemma3:270m", "names": [], "objectives": {}}
    found = {
        "gateway": ["127.0.0.1", port],
        "host": "localhost",
        "ca": str(ca),
        "key": str(folder / "key"),
        "output": str(folder / "metrics/probe.prom"),
        "proc": "/proc",
        "roles": {name: {**whole, "names": [f"{name}:latest"], **of} for name, of in roles.items()},
        "interval_s": 1,
        "timeout_s": 30,
        "load_timeout_s": 120,
        "degraded_s": 60,
        "release": "demo:2026.11.0",
        "bundle": f"sha256:{'b' * 64}",
        "memory_limit_bytes": 8 << 30,
        "gpu": False,
        **more,
    }
    (folder / "probe.json").write_text(json.dumps(found))
    return folder / "probe.json"


class Told:
    """The file that a probe writes.

    + folder: of `configure`
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "metrics/probe.prom"
        self.log = folder / "probe.log"

    def read(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """Values by series, by labels in their order; nothing where there is no file."""
        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        text = self.path.read_text() if self.path.exists() else ""
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
        return found

    def value(self, series: str, /, **labels: str) -> float | None:
        """The value of the one series with at least these labels; None where there is none."""
        wanted = set(labels.items())
        values = [
            value for of, value in self.read().get(f"sealift_{series}", {}).items() if wanted <= set(of)
        ]
        assert len(values) < 2
        return values[0] if values else None

    def until(self, holds: Callable[[], object]) -> None:
        """Wait until it does."""
        end = time.monotonic() + _PATIENCE_S
        while not holds():
            said = self.path.read_text() if self.path.exists() else ""
            log = self.log.read_text() if self.log.exists() else ""
            assert time.monotonic() < end, f"{said}\n{log}"
            time.sleep(0.1)


@contextmanager
def running(configuration: Path) -> Iterator[Told]:
    """Run it as a process of its own."""
    folder = configuration.parent
    command = (sys.executable, "-m", "templates.probe.probe", configuration)
    with (folder / "probe.log").open("ab") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, cwd=CHECKOUT)
    try:
        yield Told(folder)
    finally:
        child.terminate()
        child.wait(10)
