"""Two front doors before three hosts: what they let in, and hosts that are drained while applications ask."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sealift.facts.live import asking
from sealift.services import FRONT, asking_envoy
from tests.lab.commands import CHECKOUT, Commands
from tests.lab.conftest import Site

_DOORS = ("h1", "h2")


@pytest.fixture(scope="module")
def doors(site: Site, commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The lab's inventory with two front doors, applied; without them again at the end."""
    folder = tmp_path_factory.mktemp("doors") / "lab"
    shutil.copytree(CHECKOUT / "inventories/lab", folder)
    inventory = folder / "lab.py"
    inventory.write_text(f"{inventory.read_text()}\nfront = llm[:{len(_DOORS)}]\n")
    commands.ok("sealift", "apply", inventory)
    yield inventory
    commands.ok("sealift", "apply", "lab")


def _address(commands: Commands, host: str) -> str:
    hosts = json.loads((commands.lab / "hosts.json").read_text())["hosts"]
    return next(str(each["address"]) for each in hosts if each["name"] == host)


def _ask(commands: Commands, folder: Path, door: str, key: str, *more: str) -> str:
    """The status of a request with this key to a front door.

    + more: lines of curl's configuration
    """
    config = folder / "curl.config"
    config.touch(mode=0o600)
    config.write_text(
        f'url = "https://{door}/api/show"\nconnect-to = "::{_address(commands, door)}:443"\n'
        f'cacert = "{commands.site}/tls/ca.crt"\nheader = "x-api-key: {key}"\noutput = "/dev/null"\n'
        'write-out = "%{http_code}"\nsilent\n' + "\n".join(more)
    )
    return commands.ok("sealift", "lab", "exec", "--", "curl", "--config", config).out


def _json(commands: Commands, *command: str | Path) -> Any:
    return json.loads(commands.ok("sealift", *command, "--json").out)


def _sent(commands: Commands, door: str, host: str) -> int:
    """How many requests a front door has ever sent to a host."""
    said = commands.on(door, asking(FRONT, asking_envoy("/clusters")))
    start = f"hosts::{_address(commands, host)}:8443::rq_total::"
    (line,) = [line for line in said.splitlines() if line.startswith(start)]
    return int(line.removeprefix(start))


def test_keys_open_front_doors_and_hosts_at_once(doors: Path, commands: Commands, tmp_path: Path) -> None:
    asking = 'data = "{\\"model\\":\\"chat\\"}"'
    made = _json(commands, "clients", "add", doors, "guest")
    assert all(host["confirmed"] for host in made["hosts"]) and len(made["hosts"]) == 3
    assert [_ask(commands, tmp_path, door, made["key"], asking) for door in _DOORS] == ["200", "200"]
    revoked = _json(commands, "clients", "revoke", doors, "guest")
    assert all(host["confirmed"] for host in revoked["hosts"])
    assert [_ask(commands, tmp_path, door, made["key"], asking) for door in _DOORS] == ["401", "401"]
    assert [host["differs"] for host in _json(commands, "status", doors)] == [[], [], []]


@pytest.mark.exhaustive
def test_front_doors_are_verified(doors: Path, commands: Commands) -> None:
    """All claims, of a host that is a front door beside everything else."""
    said = _json(commands, "verify", doors, "--limit", "h2")
    claims = [result for result in said["results"] if result["name"].startswith("test_front_door_")]
    assert len(claims) >= 5 and {result["outcome"] for result in said["results"]} == {"passed"}


def test_a_host_is_drained_and_comes_back_while_applications_ask(
    doors: Path, commands: Commands, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    told, stop = tmp_path / "traffic.json", tmp_path / "stop"
    told.touch(mode=0o600)
    values = {"url": f"https://{_address(commands, 'h1')}:443", "ca": str(commands.site / "tls/ca.crt")}
    told.write_text(json.dumps({**values, "name": "h1", "key": commands.api_key(), "stop": str(stop)}))
    with ThreadPoolExecutor() as pool:
        traffic = pool.submit(
            commands.run, "sealift", "lab", "exec", "--", sys.executable, "-m", "tests.lab.traffic", told
        )
        try:
            time.sleep(3)
            for host in ("h3", "h2"):
                drained = commands.ok("sealift", "drain", doors, host)
                record_property("drain", drained.out)
                assert [f"{door}: confirmed" in drained.said for door in _DOORS] == [True, True]
                before = _sent(commands, "h1", host)
                time.sleep(2)
                assert _sent(commands, "h1", host) == before
            last = commands.refused("sealift", "drain", doors, "h1")
            assert "h1: no other host that is not drained answers chat" in last.said
            commands.ok("sealift", "apply", doors)
            status = {host["host"]: host for host in _json(commands, "status", doors)}
            assert {name: host["drained"] for name, host in status.items()} == {
                "h1": False,
                "h2": True,
                "h3": True,
            }
            assert [host["differs"] for host in status.values()] == [[], [], []]
            for host in ("h2", "h3"):
                commands.ok("sealift", "undrain", doors, host)
        finally:
            stop.touch()
            for host in ("h2", "h3"):  # again changes nothing
                commands.ok("sealift", "undrain", doors, host)
        ran = traffic.result()
    assert ran.code == 0, ran.said
    said = json.loads(ran.out)
    record_property("beside it", f"{said['requests']} requests, {len(said['streams'])} streams")
    assert said["failed"] == [] and said["requests"] >= 10
    assert [stream for stream in said["streams"] if not stream["done"]] == []
    assert _json(commands, "drain", doors, "h3", "--wait")["front_doors"][0]["running"] == 0
    commands.ok("sealift", "undrain", doors, "h3")
