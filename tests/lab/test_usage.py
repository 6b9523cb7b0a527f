"""What a client used adds up to the token."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.lab.commands import Commands
from tests.lab.conftest import Site

_PATIENCE_S = 30  # Envoy writes its log every ten seconds


def _usage(commands: Commands, *options: str) -> Any:
    return json.loads(commands.ok("sealift", "usage", "lab", "--since", "1h", "--json", *options).out)


def test_the_usage_of_a_known_load_adds_up_to_the_token(
    site: Site, commands: Commands, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    last_day = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
    add = ("sealift", "clients", "add", "lab", "spender", "--expires", last_day, "--json")
    key = json.loads(commands.ok(*add).out)["key"]
    hosts = json.loads((commands.lab / "hosts.json").read_text())["hosts"]
    told = tmp_path / "told.json"
    told.touch(mode=0o600)
    ca, url = str(commands.site / "tls/ca.crt"), f"https://{hosts[0]['address']}:8443"
    told.write_text(json.dumps({"url": url, "ca": ca, "name": "h1", "key": key}))
    spend = ("sealift", "lab", "exec", "--", sys.executable, "-m", "tests.lab.spending", told)
    spent = json.loads(commands.ok(*spend).out)
    assert spent["tokens_in"] > 0 and spent["tokens_out"] > 0

    end = time.monotonic() + _PATIENCE_S
    while True:
        used = _usage(commands).get("spender", {})
        if used.get("requests") == spent["requests"]:
            break
        assert time.monotonic() < end, used
        time.sleep(1)
    assert {name: used[name] for name in spent} == spent
    assert (used["refused"], used["unknown"]) == (1, 1)
    assert min(used["first_token_ms"], used["answer_ms"], used["tokens_per_second"]) > 0
    record_property("used", used)

    assert _usage(commands, "--by", "role")["chat"]["tokens_out"] >= spent["tokens_out"]
    assert "h1" in _usage(commands, "--by", "host")
    csv = commands.ok("sealift", "usage", "lab", "--since", "1h", "--csv").out
    assert f"spender,{spent['requests']},1,1,{spent['tokens_in']},{spent['tokens_out']}," in csv
    noted = commands.on("h1", "docker logs sealift-gateway-gateway-1 2>&1")
    assert key not in noted and "Count to" not in noted
    assert f"the keys of spender run out on {last_day}" in commands.ok("sealift", "status", "lab").said
    commands.ok("sealift", "clients", "revoke", "lab", "spender")
