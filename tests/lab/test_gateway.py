"""The gateway's configuration, judged by Envoy itself, and its limit on each client."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from sealift.host.settings import GatewaySettings
from tests.lab.commands import Commands
from tests.lab.conftest import Site

GATEWAY = "sealift-gateway-gateway-1"
VALIDATE = f"docker exec {GATEWAY} envoy --mode validate"


def test_envoy_accepts_its_configuration_and_no_other(site: Site, commands: Commands) -> None:
    commands.on("h1", f"{VALIDATE} --config-path /etc/envoy/envoy.yaml")
    commands.on("h1", f"! {VALIDATE} --config-yaml 'admin: {{nonsense: 1}}'")


def test_a_client_beyond_its_limit_is_told_to_wait(site: Site, commands: Commands, tmp_path: Path) -> None:
    limit = GatewaySettings.model_fields["requests_per_minute"].default
    (address,) = [
        host["address"]
        for host in json.loads((site.lab / "hosts.json").read_text())["hosts"]
        if host["name"] == "h1"
    ]
    requests = tmp_path / "curl.config"
    requests.touch(mode=0o600)
    requests.write_text(
        f'url = "https://{address}:8443/api/version?[1-{2 * limit}]"\n'
        f'cacert = "{commands.site}/tls/ca.crt"\n'
        f'header = "x-api-key: {commands.api_key()}"\n'
        'header = "x-sealift-client: somebody-else"\n'
        'output = "/dev/null"\nwrite-out = "%{http_code}\\n"\nsilent\n'
    )
    try:
        ran = commands.ok("sealift", "lab", "exec", "--", "curl", "--config", requests)
    finally:  # the other tests find full buckets
        commands.on("h1", f"docker restart {GATEWAY}")
        healthy = f"docker ps --filter name={GATEWAY} --filter health=healthy | grep -q {GATEWAY}"
        commands.on("h1", f"timeout 60 sh -c 'until {healthy}; do sleep 0.2; done'")
    answered = Counter(ran.out.split())
    assert set(answered) == {"200", "429"}
    assert limit <= answered["200"] < 2 * limit
