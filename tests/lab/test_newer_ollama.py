"""Three hosts behind a front door, from Ollama 0.11.4 to 0.24.0: a release that fails, and one that does not.

Under 0.24.0 the demo's embedding model cannot be loaded, while version, tags and chat are as they should be.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.commands import CHECKOUT, Commands
from tests.lab.conftest import lab_of
from tests.lab.newer_release import NEW, OLD, imported, release, sources
from tests.lab.under_load import address, under_load

pytestmark = pytest.mark.exhaustive
_HOSTS = ("h1", "h2", "h3")
_ROLES = ("chat", "embed")
# Hosts of the lab share two cores with all else: a first answer can take a minute.
_SETTINGS = """
gateway |= {"queue": 256, "hold_s": 240, "idle_timeout_s": 900}
rollout = {"batches": [1], "soak_s": 5, "drain_s": 900}
"""
_LOAD = {"every_s": 2.0, "tokens": 2, "long_tokens": 120}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, sources_of_demo: Path) -> Iterator[tuple[Commands, Path]]:
    """Three hosts with Ollama 0.11.4 and one of them a front door; and the newer releases in the depot."""
    work = tmp_path_factory.mktemp("newer")
    of = sources(work / "sources", sources_of_demo)
    for commands in lab_of(work / "lab", hosts=3):
        for version, ollama, roles in (("1", OLD, _ROLES), ("2", NEW, _ROLES), ("3", NEW, _ROLES[:1])):
            imported(commands, work, release(work, f"2026.12.{version}", ollama, roles), of)
        shutil.copytree(CHECKOUT / "inventories/lab", work / "lab-inventory")
        inventory = work / "lab-inventory/lab.py"
        text = inventory.read_text().replace("monitor = llm[:1]", "front = llm[:1]")
        inventory.write_text(text)
        with (work / "lab-inventory/group_data/all.py").open("a") as settings:
            settings.write(_SETTINGS)
        _wants(inventory, "2026.12.1")
        commands.ok("sealift", "apply", inventory)
        commands.ok("sealift", "verify", inventory)
        yield commands, inventory


@pytest.fixture(scope="module")
def sources_of_demo(sources: Path) -> Path:
    """The ingredients of the demo."""
    return sources


def _wants(inventory: Path, version: str) -> None:
    settings = inventory.parent / "group_data/all.py"
    settings.write_text(
        re.sub(r'release = "demo:[^"]*"', f'release = "demo:{version}"', settings.read_text())
    )


def _runs(commands: Commands) -> dict[str, str]:
    """The image of Ollama that runs, and when its container was started."""
    ask = "docker inspect --format '{{.Config.Image}} {{.State.StartedAt}}' sealift-ollama-ollama-1"
    return {host: commands.on(host, ask).strip() for host in _HOSTS}


def _door(commands: Commands) -> str:
    return f"https://{address(commands, 'h1')}:443"


def test_a_release_that_cannot_load_a_model_ends_at_the_canary_which_goes_back_by_itself(
    fleet: tuple[Commands, Path], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    commands, inventory = fleet
    before = _runs(commands)
    _wants(inventory, "2026.12.2")
    with under_load(commands, tmp_path, _door(commands), "h1", 20, **_LOAD) as seen:
        ran = commands.run("sealift", "rollout", inventory)
    record_property("a release whose embedding model cannot be loaded", ran.out)
    record_property("beside it", seen.told())
    assert ran.code == 1
    assert re.search(r"failed: h\d: [^:]*\(embed\): does not hold \(500 .*model failed to load", ran.said)
    after = _runs(commands)
    assert {image.split()[0] for image in after.values()} == {f"localhost/sealift/ollama:{OLD}"}
    untouched = [host for host in _HOSTS if after[host] == before[host]]
    assert len(untouched) == 2
    assert seen.failed == [] and seen.requests and seen.streams
    _wants(inventory, "2026.12.1")
    status = json.loads(commands.run("sealift", "status", inventory, "--json").out)
    # What was shipped lies there until the next apply.
    differs = [line for host in status for line in host["differs"] if "no generation needs" not in line]
    assert differs == [] and [host["drained"] for host in status] == [False] * 3


def test_from_0_11_to_0_24_no_request_fails_and_no_stream_is_cut(
    fleet: tuple[Commands, Path], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    commands, inventory = fleet
    _wants(inventory, "2026.12.3")
    with under_load(commands, tmp_path, _door(commands), "h1", 20, **_LOAD) as seen:
        ran = commands.run("sealift", "rollout", inventory)
    record_property(f"from Ollama {OLD} to {NEW}", ran.out)
    record_property("beside it", seen.told())
    assert ran.code == 0, ran.said
    assert {image.split()[0] for image in _runs(commands).values()} == {f"localhost/sealift/ollama:{NEW}"}
    assert seen.failed == [] and seen.requests and len(seen.streams) >= 2


def test_back_to_0_11_no_request_fails_and_no_stream_is_cut(
    fleet: tuple[Commands, Path], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The role that comes back is answered at once, though the inventory still names the newer release."""
    commands, inventory = fleet
    _wants(inventory, "2026.12.3")
    commands.ok("sealift", "rollout", inventory)  # nothing to change, after the test before
    assert _embeds(commands, tmp_path) != 200
    rollback = ("sealift", "rollback", inventory)
    would = json.loads(commands.ok(*rollback, "--dry-run", "--json").out)
    assert {host: (each["wave"], each["drains"]) for host, each in would.items()} == {
        "h1": (3, True),
        "h2": (1, True),
        "h3": (2, True),
    }
    with under_load(commands, tmp_path, _door(commands), "h1", 20, **_LOAD) as seen:
        ran = commands.run(*rollback)
    record_property(f"from Ollama {NEW} back to {OLD}", ran.out)
    record_property("beside it", seen.told())
    assert ran.code == 0, ran.said
    assert {image.split()[0] for image in _runs(commands).values()} == {f"localhost/sealift/ollama:{OLD}"}
    assert seen.failed == [] and seen.requests and len(seen.streams) >= 2
    assert _embeds(commands, tmp_path) == 200
    _wants(inventory, "2026.12.1")
    status = json.loads(commands.run("sealift", "status", inventory, "--json").out)
    differs = [line for host in status for line in host["differs"] if "no generation needs" not in line]
    assert differs == [] and [host["drained"] for host in status] == [False] * 3


def _embeds(commands: Commands, folder: Path) -> int:
    """The status of a request to the front door for the role that the newest release does not have."""
    told = folder / "embeds.json"
    told.touch(mode=0o600)
    call = ("POST", "/api/embed", {"model": "embed", "input": "x"})
    values = {"asked": [("h1", _door(commands))], "keys": {"right": commands.api_key()}, "calls": [call]}
    told.write_text(json.dumps({"ca": str(commands.site / "tls/ca.crt"), **values}))
    ran = commands.ok("sealift", "lab", "exec", "--", sys.executable, "-m", "tests.lab.asking", told)
    (said,) = json.loads(ran.out).values()
    return int(said["right"]["POST /api/embed"])
