"""Services that do not come up, or would not: a host goes on with what it had. And keys that come and go."""

from __future__ import annotations

import json
from pathlib import Path

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


def test_the_roles_model_is_loaded_after_a_start_before_anybody_asks(site: Site, commands: Commands) -> None:
    commands.on("h1", f"docker restart {OLLAMA}")
    loaded = f"docker exec {OLLAMA} ollama ps | grep -q ^chat:"
    commands.on("h1", f"timeout 90 sh -c 'until {loaded}; do sleep 0.5; done'")
    (status,) = json.loads(commands.ok("sealift", "status", "lab", "--limit", "h1", "--json").out)
    assert status["standing"]["loaded"] == ["chat:latest"]


def _version(commands: Commands, folder: Path, key: str) -> str:
    """The status of a request with this key to h1."""
    hosts = json.loads((commands.lab / "hosts.json").read_text())["hosts"]
    config = folder / "curl.config"
    config.touch(mode=0o600)
    config.write_text(
        f'url = "https://{hosts[0]["address"]}:8443/api/version"\ncacert = "{commands.site}/tls/ca.crt"\n'
        f'header = "x-api-key: {key}"\noutput = "/dev/null"\nwrite-out = "%{{http_code}}"\nsilent\n'
    )
    return commands.ok("sealift", "lab", "exec", "--", "curl", "--config", config).out


def test_a_key_is_known_once_it_is_added_and_refused_once_it_is_revoked(
    site: Site, commands: Commands, tmp_path: Path
) -> None:
    key = json.loads(commands.ok("sealift", "clients", "add", "lab", "guest", "--json").out)["key"]
    assert _version(commands, tmp_path, key) == "401"
    commands.ok("sealift", "apply", "lab", "--limit", "h1")
    assert _version(commands, tmp_path, key) == "200"
    commands.ok("sealift", "clients", "revoke", "lab", "guest")
    commands.ok("sealift", "apply", "lab", "--limit", "h1")
    assert _version(commands, tmp_path, key) == "401"
    assert _version(commands, tmp_path, commands.api_key()) == "200"
