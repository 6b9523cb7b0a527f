"""Every call that is open, with every kind of key, on every gateway of a real fleet."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sealift.host.routes import NAME, routes_of
from sealift.site.secrets import new_key
from tests.lab.commands import Commands
from tests.lab.conftest import Site

OLLAMA = "docker.io/ollama/ollama:0.11.4"  # the demo's
# The shortest answer of each form.
BODY = {
    "model": "chat",
    "prompt": "x",
    "input": "x",
    "messages": [{"role": "user", "content": "x"}],
    "max_tokens": 1,
    "options": {"num_predict": 1},
    "stream": False,
}
CLOSED = tuple(("POST", f"/api/{name}", {"model": "chat"}) for name in ("pull", "push", "create", "copy"))


def _key(commands: Commands, *command: str) -> str:
    said = json.loads(commands.ok("sealift", "clients", *command, "--json").out)
    assert all(host["confirmed"] for host in said["hosts"]), said["hosts"]
    return str(said["key"])


def test_every_call_with_every_key(site: Site, commands: Commands, tmp_path: Path) -> None:
    revoked = _key(commands, "add", "lab", "gone")
    keys = {
        "none": None,
        "wrong": new_key().get_secret_value(),
        "revoked": revoked,
        "without the role": _key(commands, "add", "lab", "guest", "--role", "embed"),
        "right": commands.api_key(),
    }
    commands.ok("sealift", "clients", "revoke", "lab", "gone")
    opened = [
        (route.method, route.path.replace(NAME, "chat"), BODY if route.method == "POST" else None)
        for route in routes_of(OLLAMA)
    ]
    hosts = json.loads((commands.lab / "hosts.json").read_text())["hosts"]
    gateways = {host["name"]: f"https://{host['address']}:8443" for host in hosts}
    told = tmp_path / "told.json"
    told.touch(mode=0o600)
    ca = str(commands.site / "tls/ca.crt")
    told.write_text(json.dumps({"ca": ca, "gateways": gateways, "keys": keys, "calls": [*opened, *CLOSED]}))
    said = json.loads(
        commands.ok("sealift", "lab", "exec", "--", sys.executable, "-m", "tests.lab.asking", told).out
    )
    commands.ok("sealift", "clients", "revoke", "lab", "guest")
    assert said.keys() == gateways.keys()
    for found in said.values():
        for kind in ("none", "wrong", "revoked"):
            assert set(found[kind].values()) == {401}, kind
        for method, path, _ in opened:
            asks_a_role = method == "POST"
            call = f"{method} {path}"
            assert found["without the role"][call] == (403 if asks_a_role else 200), call
            # The demo's model answers no embeddings.
            good = {200, 400, 500} if "embed" in path else {200}
            assert found["right"][call] in good, call
        for method, path, _ in CLOSED:
            assert found["without the role"][f"{method} {path}"] == 404
            assert found["right"][f"{method} {path}"] == 404
