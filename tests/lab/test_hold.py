"""A host without a front door, whose Ollama is replaced while applications ask: they wait, and none fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.commands import CHECKOUT, Commands
from tests.lab.conftest import Site
from tests.lab.under_load import address, under_load

# Hosts of the lab share two cores with all else: a first answer can take a minute.
_SETTINGS = """
gateway |= {"queue": 256, "hold_s": 240, "finish_s": 180, "idle_timeout_s": 600}
"""


@pytest.fixture(scope="module")
def patient(site: Site, commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The lab's inventory with gateways that hold for long, applied to h2; as it was at the end."""
    folder = tmp_path_factory.mktemp("patient") / "lab"
    shutil.copytree(CHECKOUT / "inventories/lab", folder)
    with (folder / "group_data/all.py").open("a") as settings:
        settings.write(_SETTINGS)
    commands.ok("sealift", "apply", folder / "lab.py", "--limit", "h2")
    yield folder
    commands.ok("sealift", "apply", "lab")


def _started(commands: Commands) -> str:
    return commands.on("h2", "docker inspect --format '{{.Id}}' sealift-ollama-ollama-1")


def test_a_changed_setting_of_ollama_costs_no_request_and_cuts_no_stream(
    patient: Path, commands: Commands, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    before = _started(commands)
    with (patient / "group_data/all.py").open("a") as settings:
        settings.write('ollama |= {"max_queue": 511}\n')
    url = f"https://{address(commands, 'h2')}:8443"
    load = {"every_s": 2.0, "tokens": 1, "long_tokens": 60}
    with under_load(commands, tmp_path, url, "h2", 10, **load) as seen:
        commands.ok("sealift", "apply", patient / "lab.py", "--limit", "h2")
    record_property("beside a changed setting of Ollama", seen.told())
    assert _started(commands) != before
    assert seen.failed == [] and len(seen.requests) >= 8 and seen.streams
    live = "/var/lib/sealift/live/gateway/clusters.yaml"
    left = commands.on("h2", f"grep 127.0.0.1 {live}; find /etc/systemd/system -name '*unhold*'")
    assert left == ""
    status = json.loads(commands.ok("sealift", "status", patient / "lab.py", "--limit", "h2", "--json").out)
    assert [host["differs"] for host in status] == [[]]
