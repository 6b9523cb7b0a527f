"""What a client used adds up to the token, and is held against its budget."""

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

_PATIENCE_S = 30


def _usage(commands: Commands, *options: str) -> Any:
    return json.loads(commands.ok("sealift", "usage", "lab", "--since", "1h", "--json", *options).out)


def test_the_usage_of_a_known_load_adds_up_to_the_token(
    site: Site, commands: Commands, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    last_day = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
    budget = ("--tokens-per-month", "1000000")
    add = ("sealift", "clients", "add", "lab", "spender", "--expires", last_day, *budget, "--json")
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

    # beside what answers say, an estimate for the stream that does not
    of_budget = _of_budget(commands, spent["tokens_in"] + spent["tokens_out"])
    began = time.monotonic()
    commands.ok("sealift", "clients", "set", "lab", "spender", "--tokens-per-day", "1")
    refused = commands.refused("sealift", "try", "lab", "--client", "spender", "--limit", "h1")
    record_property("seconds until a budget of one token held", time.monotonic() - began)
    assert f"tokens: client spender has used {of_budget} of its 1 a day on this host." in refused.said
    commands.on("h1", "docker restart sealift-budgets-budgets-1 sealift-gateway-gateway-1")
    assert _of_budget(commands, 0) == of_budget
    commands.ok("sealift", "clients", "revoke", "lab", "spender")


def _of_budget(commands: Commands, more_than: int) -> int:
    """Tokens that h1 counts of the client's month, once these are so many."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        ran = commands.run("sealift", "clients", "budgets", "lab", "--json")
        found = {(each["host"], each["period"]): int(each["used"]) for each in json.loads(ran.out)}
        if ran.code == 0 and found["h1", "month"] > more_than:
            return found["h1", "month"]
        assert time.monotonic() < end, ran.said
        time.sleep(0.5)


def test_the_official_packages_do_their_work_through_the_gateway(
    site: Site, commands: Commands, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    add = ("sealift", "clients", "add", "lab", "package", "--role", "chat", "--json")
    key = json.loads(commands.ok(*add).out)["key"]
    (host, *_) = json.loads((commands.lab / "hosts.json").read_text())["hosts"]
    told = tmp_path / "told.json"
    told.touch(mode=0o600)
    ca = str(commands.site / "tls/ca.crt")
    told.write_text(
        json.dumps({"name": "h1", "address": host["address"], "port": 8443, "ca": ca, "key": key})
    )
    said = json.loads(
        commands.ok("sealift", "lab", "exec", "--", sys.executable, "-m", "tests.lab.official", told).out
    )
    record_property("said", said)
    for package in said.values():
        assert package["list"] == ["chat:latest"]
        assert package["chat"] and len(package["stream"]) > 2
        assert package["schema"] in ("red", "blue")
        assert package["embed"] == [500, "this model does not support embeddings"]
        assert package["tools"] == [400, "registry.ollama.ai/library/chat:latest does not support tools"]
        assert package["images"][0] == 400 and "images: chat does not see any." in package["images"][1]
        assert package["another"][0] == 403 and "Ask for one of: chat." in package["another"][1]
    assert said["ollama"]["show"] == "gemma3" and said["ollama"]["generate"]
    assert set(said["ollama"]["loaded"]) <= {"chat:latest"}
    assert said["ollama"]["pull"][0] == 404
    assert said["openai"]["retrieve"] == "chat" and said["openai"]["completion"]
    assert 1 <= said["openai"]["tokens"] <= 4
    assert said["openai"]["retrieve another"][0] == 404
    commands.ok("sealift", "clients", "revoke", "lab", "package")
