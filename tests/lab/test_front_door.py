"""Two front doors before three hosts: what they let in, and hosts that are drained while applications ask."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sealift.facts.live import asking
from sealift.host.routes import NAME, routes_of
from sealift.services import FRONT, asking_envoy
from sealift.site.secrets import new_key
from tests.lab.commands import CHECKOUT, Commands
from tests.lab.conftest import Site

_DOORS = ("h1", "h2")
_OLLAMA = "docker.io/ollama/ollama:0.11.4"  # the demo's
# The shortest answer of each form.
_BODY = {
    "model": "chat",
    "prompt": "x",
    "input": "x",
    "messages": [{"role": "user", "content": "x"}],
    "max_tokens": 1,
    "options": {"num_predict": 1},
    "stream": False,
}
_CLOSED = tuple(("POST", f"/api/{name}", {"model": "chat"}) for name in ("pull", "push", "create", "copy"))


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


def _guest(commands: Commands, inventory: Path, name: str, *more: str) -> str:
    """A new client's key, which every host has confirmed."""
    said = _json(commands, "clients", "add", inventory, name, *more)
    assert all(host["confirmed"] for host in said["hosts"]), said["hosts"]
    return str(said["key"])


def _statuses(commands: Commands, told: Path, **values: object) -> dict[str, dict[str, dict[str, int]]]:
    """What tests.lab.asking is told, and finds."""
    told.touch(mode=0o600)
    told.write_text(json.dumps({"ca": str(commands.site / "tls/ca.crt"), **values}))
    ran = commands.ok("sealift", "lab", "exec", "--", sys.executable, "-m", "tests.lab.asking", told)
    found: dict[str, dict[str, dict[str, int]]] = json.loads(ran.out)
    return found


def test_every_call_with_every_key(doors: Path, commands: Commands, tmp_path: Path) -> None:
    """On every gateway and front door."""
    keys = {
        "none": None,
        "wrong": new_key().get_secret_value(),
        "revoked": _guest(commands, doors, "gone"),
        "without the role": _guest(commands, doors, "guest", "--role", "embed"),
        "right": commands.api_key(),
    }
    commands.ok("sealift", "clients", "revoke", doors, "gone")
    opened = [
        (route.method, route.path.replace(NAME, "chat"), _BODY if route.method == "POST" else None)
        for route in routes_of(_OLLAMA)
    ]
    addresses = {host: _address(commands, host) for host in ("h1", "h2", "h3")}
    asked = [(host, f"https://{address}:8443") for host, address in addresses.items()]
    asked += [(door, f"https://{addresses[door]}:443") for door in _DOORS]
    said = _statuses(commands, tmp_path / "told.json", asked=asked, keys=keys, calls=[*opened, *_CLOSED])
    commands.ok("sealift", "clients", "revoke", doors, "guest")
    assert len(said) == len(asked)
    for found in said.values():
        for kind in ("none", "wrong", "revoked"):
            assert set(found[kind].values()) == {401}, kind
        for method, path, _ in opened:
            call = f"{method} {path}"
            refused = 403 if method == "POST" else 404 if path.endswith("/chat") else 200
            assert found["without the role"][call] == refused, call
            # The model of chat makes no embeddings: Ollama says so.
            good = {200, 400, 500, 501} if "embed" in path else {200}
            assert found["right"][call] in good, call
        for method, path, _ in _CLOSED:
            assert found["without the role"][f"{method} {path}"] == 404
            assert found["right"][f"{method} {path}"] == 404


@pytest.mark.exhaustive
def test_hostile_clients(doors: Path, commands: Commands, tmp_path: Path) -> None:
    """Of every gateway and front door: nothing of it comes through, and others are served."""
    asked = [(host, _address(commands, host), 8443) for host in ("h1", "h2", "h3")]
    asked += [(door, _address(commands, door), 443) for door in _DOORS]
    told = tmp_path / "hostile.json"
    told.touch(mode=0o600)
    values = {"ca": str(commands.site / "tls/ca.crt"), "key": commands.api_key(), "asked": asked}
    told.write_text(json.dumps(values))
    ran = commands.ok("sealift", "lab", "exec", "--", sys.executable, "-m", "tests.lab.hostile", told)
    found: dict[str, dict[str, str]] = json.loads(ran.out)
    assert len(found) == len(asked)
    for door, said in found.items():
        for beside in ("beside those", "beside 2,000 silent ones", "after"):
            assert said.pop(beside) == "HTTP/1.1 200 OK", (door, beside)
        assert said.pop("byte by byte") == "HTTP/1.1 408 Request Timeout", door
        for way in ("with a length", "chunked"):
            assert said.pop(f"endless, {way}") in ("HTTP/1.1 413 Payload Too Large", ""), (door, way)
        refused = ("HTTP/1.1 400 Bad Request", "HTTP/1.1 501 Not Implemented")
        assert len(said) > 10 and [each for each in said.items() if each[1] not in refused] == [], door


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
            assert re.search(
                "h1: no other host that is not drained answers .*chat, classify, embed", last.said
            )
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
