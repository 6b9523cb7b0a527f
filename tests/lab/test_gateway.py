"""Services that do not come up, or would not: a host goes on with what it had. And keys that come and go."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.lab.commands import Commands, Ran
from tests.lab.conftest import Site

GATEWAY = "sealift-gateway-gateway-1"
OLLAMA = "sealift-ollama-ollama-1"
# The release's own tasks, with a generation that was spoilt after preflight.
DEPLOY = """
import json
import re
from dataclasses import replace

import yaml

from sealift.host.generation import RenderedFile
from sealift.site.certificates import key_pem, new_key
from tasks.generation import place_generation
from tasks.preflight import check_fleet
from tasks.services import run_services

wanted = check_fleet()
files = dict(wanted.generation.files)
specs = {{**wanted.generation.specs, "gateway": "sha256:" + "0" * 64}}
{spoil}
spoilt = replace(wanted, generation=replace(wanted.generation, id="0123456789ab", files=files, specs=specs))
place_generation(wanted=spoilt)
run_services(wanted=spoilt)
"""
# The certificate's place has another key in it.
WRONG_KEY = """
tls = yaml.safe_load(files["gateway/live/tls.yaml"].content)
old = json.dumps(tls["resources"][0]["tls_certificate"]["private_key"]["inline_string"]).encode()
new = json.dumps(key_pem(new_key()).decode()).encode()
content = files["gateway/live/tls.yaml"].content.replace(old, new)
files["gateway/live/tls.yaml"] = RenderedFile(content, 0o600)
"""
# Envoy refuses a list of types that is empty. What its image judges has no such list.
REFUSED_LIVE = """
content = files["gateway/live/listener.yaml"].content
content = re.sub(rb"type_urls: .*", b"type_urls: []", content)
content = re.sub(rb'version_info: ".*"', b'version_info: "0123456789abcdef"', content)
files["gateway/live/listener.yaml"] = RenderedFile(content, 0o600)
specs = wanted.generation.specs
"""
WRONG_COMMAND = (
    'compose = files["gateway/compose.yaml"].content\n'
    'compose = compose.replace(b"entrypoint: [envoy]", b"entrypoint: [/none]")\n'
    'files["gateway/compose.yaml"] = RenderedFile(compose)'
)


def deploy(commands: Commands, folder: Path, spoil: str) -> Ran:
    (folder / "deploy.py").write_text(DEPLOY.format(spoil=spoil))
    return commands.run("pyinfra", "inventories/lab/lab.py", folder / "deploy.py", "--limit", "h1", "-y")


@pytest.fixture
def current(site: Site, commands: Commands) -> str:
    """The generation that is active on h1."""
    return commands.on("h1", "readlink /var/lib/sealift/current")


def test_a_key_that_is_not_the_certificates_is_refused_before_anything_is_activated(
    current: str, commands: Commands, tmp_path: Path
) -> None:
    started = commands.on("h1", f"docker inspect -f {{{{.State.StartedAt}}}} {GATEWAY}")
    ran = deploy(commands, tmp_path, WRONG_KEY)
    assert ran.code != 0
    assert "the image of gateway refuses the configuration that was rendered for this host" in ran.said
    assert "ailed to load private key" in ran.said and "PRIVATE KEY" not in ran.said
    assert commands.on("h1", "readlink /var/lib/sealift/current") == current
    assert commands.on("h1", f"docker inspect -f {{{{.State.StartedAt}}}} {GATEWAY}") == started


def test_a_host_whose_service_does_not_come_up_goes_back_by_itself(
    current: str, commands: Commands, tmp_path: Path
) -> None:
    ran = deploy(commands, tmp_path, WRONG_COMMAND)
    assert ran.code != 0
    assert "this host went back to the generation that was active before" in ran.said
    assert commands.on("h1", "readlink /var/lib/sealift/current") == current
    commands.ok("sealift", "ask", "lab", "chat", "Say something.", "--limit", "h1")
    commands.ok("sealift", "apply", "lab", "--limit", "h1")
    (status,) = json.loads(commands.ok("sealift", "status", "lab", "--limit", "h1", "--json").out)
    assert status["differs"] == []


def test_a_gateway_that_refuses_a_live_file_goes_on_with_the_one_before(
    current: str, commands: Commands, tmp_path: Path
) -> None:
    started = commands.on("h1", f"docker inspect -f {{{{.State.StartedAt}}}} {GATEWAY}")
    ran = deploy(commands, tmp_path, REFUSED_LIVE)
    assert ran.code != 0
    assert "gateway has not taken its configuration: this host went back" in ran.said
    assert commands.api_key() not in ran.said
    assert commands.on("h1", "readlink /var/lib/sealift/current") == current
    assert commands.on("h1", f"docker inspect -f {{{{.State.StartedAt}}}} {GATEWAY}") == started
    commands.ok("sealift", "apply", "lab", "--limit", "h1")
    (status,) = json.loads(commands.ok("sealift", "status", "lab", "--limit", "h1", "--json").out)
    assert status["differs"] == []


def test_the_models_of_all_roles_are_loaded_after_a_start_before_anybody_asks(
    site: Site, commands: Commands
) -> None:
    commands.on("h1", f"docker restart {OLLAMA}")
    for role in ("chat", "embed"):
        loaded = f"docker exec {OLLAMA} ollama ps | grep -q ^{role}:"
        commands.on("h1", f"timeout 90 sh -c 'until {loaded}; do sleep 0.5; done'")
    (status,) = json.loads(commands.ok("sealift", "status", "lab", "--limit", "h1", "--json").out)
    assert sorted(status["standing"]["loaded"]) == ["chat:latest", "embed:latest"]


def _status(commands: Commands, folder: Path, key: str, *more: str, path: str = "/api/version") -> str:
    """The status of a request with this key to h1.

    + more: lines of curl's configuration
    """
    hosts = json.loads((commands.lab / "hosts.json").read_text())["hosts"]
    config = folder / "curl.config"
    config.touch(mode=0o600)
    config.write_text(
        f'url = "https://{hosts[0]["address"]}:8443{path}"\ncacert = "{commands.site}/tls/ca.crt"\n'
        f'header = "x-api-key: {key}"\noutput = "/dev/null"\nwrite-out = "%{{http_code}}"\nsilent\n'
        + "\n".join(more)
    )
    return commands.ok("sealift", "lab", "exec", "--", "curl", "--config", config).out


def _gateway_url(commands: Commands) -> str:
    hosts = json.loads((commands.lab / "hosts.json").read_text())["hosts"]
    return f"https://{hosts[0]['address']}:8443"


def _started(commands: Commands) -> str:
    return commands.on("h1", f"docker inspect -f {{{{.State.StartedAt}}}} {GATEWAY}")


def _clients(commands: Commands, *command: str) -> dict[str, Any]:
    """Change the clients; every host must confirm it."""
    said: dict[str, Any] = json.loads(commands.ok("sealift", "clients", *command, "--json").out)
    assert all(host["confirmed"] for host in said["hosts"]), said["hosts"]
    assert len(said["hosts"]) == (1 if "--limit" in command else 3)
    return said


def test_keys_change_on_every_host_within_seconds_and_nothing_restarts(
    site: Site, commands: Commands, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    started = _started(commands)
    old = _clients(commands, "add", "lab", "guest")["key"]
    assert _status(commands, tmp_path, old) == "200"
    new = _clients(commands, "rotate", "lab", "guest")["key"]
    assert [_status(commands, tmp_path, key) for key in (old, new)] == ["200", "200"]
    _clients(commands, "rotate", "lab", "guest", "--end")
    assert [_status(commands, tmp_path, key) for key in (old, new)] == ["401", "200"]

    began = time.monotonic()
    said = _clients(commands, "revoke", "lab", "guest")
    seconds = time.monotonic() - began
    assert _status(commands, tmp_path, new) == "401"
    record_property("revoke on three hosts", f"{seconds:.1f} s, {said['hosts']}")
    assert _status(commands, tmp_path, commands.api_key()) == "200"
    assert _started(commands) == started
    status = json.loads(commands.ok("sealift", "status", "lab", "--json").out)
    assert [host["differs"] for host in status] == [[], [], []]
    assert commands.changed_operations() == {"h1": [], "h2": [], "h3": []}


def test_a_client_is_held_to_its_roles_on_every_host_within_seconds(
    site: Site, commands: Commands, tmp_path: Path
) -> None:
    started, asking = _started(commands), 'data = "{\\"model\\":\\"chat\\"}"'
    key = _clients(commands, "add", "lab", "guest", "--role", "chat")["key"]
    assert _status(commands, tmp_path, key, asking, path="/api/show") == "200"
    assert _status(commands, tmp_path, key, asking, path="/api/generate") == "200"  # by a way of its own
    _clients(commands, "set", "lab", "guest", "--role", "embed")
    assert _status(commands, tmp_path, key, asking, path="/api/show") == "403"
    assert _status(commands, tmp_path, key) == "200"
    listed = json.loads(commands.ok("sealift", "clients", "list", "lab", "--json").out)
    assert [each["roles"] for each in listed if each["client"] == "guest"] == [["embed"]]
    _clients(commands, "revoke", "lab", "guest")
    assert _started(commands) == started
    assert commands.changed_operations() == {"h1": [], "h2": [], "h3": []}


def test_a_revoked_key_reaches_the_other_hosts_where_one_does_not_answer(
    site: Site, commands: Commands, tmp_path: Path
) -> None:
    key = _clients(commands, "add", "lab", "guest")["key"]
    commands.on("h1", f"docker stop {GATEWAY}")
    ran = commands.run("sealift", "clients", "revoke", "lab", "guest")
    assert ran.code == 1
    assert "h1: its gateway does not say that it goes by the new keys, which it has" in ran.said
    assert "h2: confirmed" in ran.said and "h3: confirmed" in ran.said
    commands.ok("sealift", "apply", "lab", "--limit", "h1")
    assert _status(commands, tmp_path, key) == "401"


@pytest.mark.parametrize("rounds", [3, pytest.param(17, marks=pytest.mark.exhaustive)])
def test_changes_cost_no_request_and_streams_go_on_to_their_end(
    site: Site,
    commands: Commands,
    tmp_path: Path,
    rounds: int,
    record_property: Callable[[str, object], None],
) -> None:
    """A client that comes, gets other limits, and goes in each round, and a new certificate every fifth."""
    told, stop = tmp_path / "traffic.json", tmp_path / "stop"
    told.touch(mode=0o600)
    ca = str(commands.site / "tls/ca.crt")
    values = {"url": _gateway_url(commands), "ca": ca, "name": "h1", "key": commands.api_key()}
    told.write_text(json.dumps({**values, "stop": str(stop)}))
    with ThreadPoolExecutor() as pool:
        traffic = pool.submit(
            commands.run, "sealift", "lab", "exec", "--", sys.executable, "-m", "tests.lab.traffic", told
        )
        try:
            changed = []
            time.sleep(2)
            for number in range(rounds):
                guest = f"guest-{number}"
                for change in (
                    ("add",),
                    ("set", "--streams", "2", "--requests-per-minute", "50"),
                    ("revoke",),
                ):
                    _clients(commands, change[0], "lab", guest, *change[1:], "--limit", "h1")
                    changed.append(time.time())
                if number % 5 == 4:
                    commands.ok("sealift", "ca", "renew", "lab", "h1")
                    commands.ok("sealift", "apply", "lab", "--limit", "h1")
                    changed.append(time.time())
        finally:
            stop.touch()
        ran = traffic.result()
    assert ran.code == 0, ran.said
    said = json.loads(ran.out)
    record_property(
        f"beside {len(changed)} changes", f"{said['requests']} requests, {len(said['streams'])} streams"
    )
    assert said["failed"] == [] and said["requests"] >= 2 * rounds
    assert [stream for stream in said["streams"] if not stream["done"]] == []
    spans = [(stream["began"], stream["ended"]) for stream in said["streams"]]
    over = [at for at in changed if any(began < at < ended for began, ended in spans)]
    record_property("changes beneath a stream in flight", len(over))
    assert over


def _shown_certificate(commands: Commands) -> str:
    script = "import ssl, sys; print(ssl.get_server_certificate((sys.argv[1], 8443)))"
    address = _gateway_url(commands).removeprefix("https://").partition(":")[0]
    return commands.ok("sealift", "lab", "exec", "--", sys.executable, "-c", script, address).out


def test_a_new_certificate_is_shown_without_a_restart(site: Site, commands: Commands) -> None:
    started, before = _started(commands), _shown_certificate(commands)
    commands.ok("sealift", "ca", "renew", "lab", "h1")
    commands.ok("sealift", "apply", "lab", "--limit", "h1")
    shown = _shown_certificate(commands)
    assert shown != before and shown.split() == (commands.site / "tls/h1.crt").read_text().split()
    assert _started(commands) == started
