"""`sealift bench` on hosts: one with a strict shell, one by sudo, one from outside of their network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from tests.lab.commands import Commands
from tests.lab.conftest import Site

pytestmark = pytest.mark.exhaustive

_ONCE = "--streams 1 --rounds 1"
_BENCH = f"cd /srv/sealift/deployment && sealift bench lab --role chat {_ONCE}"


def test_hosts_are_measured_and_held_against_the_run_before(
    site: Site, commands: Commands, record_property: Callable[[str, object], None]
) -> None:
    first = json.loads(commands.on_control(f"{_BENCH} --limit h1 --limit h2 --cold --json").out)
    asked = [(step["host"], step["role"], step["prompt"], step["refused"]) for step in first["steps"]]
    assert asked == [(host, "chat", prompt, {}) for host in ("h1", "h2") for prompt in ("short", "long")]
    assert all(step["first_s"] and step["answer_s"] and step["produced"] > 1 for step in first["steps"])
    assert [(cold["host"], cold["load_s"]["count"]) for cold in first["colds"]] == [("h1", 3), ("h2", 3)]
    assert all(cold["load_s"]["least"] > 0 for cold in first["colds"])
    assert [bound["host"] for bound in first["bounds"]] == ["h1", "h2"]
    assert all(re.fullmatch("[0-9]+ CPUs", bound["of"]) for bound in first["bounds"])
    assert all(bound["reached"] > 0 and bound["measured"]["count"] == 8 for bound in first["bounds"])
    assert first["bundle"] == site.bundle_digest
    record_property("cold", first["colds"])
    again = commands.on_control(f"{_BENCH} --limit h1 --out /srv/sealift/bench.html")
    assert "Beside the run of" in again.out
    assert len([*(site.lab / "control/bench").glob("lab-*.json")]) == 2
    page = (site.lab / "control/bench.html").read_text()
    assert "h1: chat" in page and "<script" not in page


def test_embeddings_are_measured_from_outside_of_the_hosts_network(site: Site, commands: Commands) -> None:
    """This machine enters it first, and the model is put out of memory by its role, which writes no words."""
    ran = commands.ok(
        *("sealift", "bench", "lab", "--limit", "h3", "--role", "embed", *_ONCE.split(), "--cold", "--json")
    )
    said = json.loads(ran.out)
    assert [(step["host"], step["first_s"], step["refused"]) for step in said["steps"]] == [
        ("h3", None, {})
    ] * 2
    assert [cold["load_s"]["count"] for cold in said["colds"]] == [3]
    assert said["bounds"] == []
    assert [path.parent for path in site.lab.glob("bench/lab-*.json")] == [site.lab / "bench"]
