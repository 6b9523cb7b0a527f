"""Rollouts in waves over three hosts, two of them front doors: a good one, killed and resumed; a bad one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.commands import CHECKOUT, Commands
from tests.lab.conftest import Site

_VERSION = "version: 2026.11.0"
_SETTINGS = '\nrollout = {"canary": ("h3",), "batches": ("100%",), "drain_s": 60, "soak_s": 1}\n'
# By release: what is another than in the demo. The bad one's chat ends each answer at its first vowel.
_BAD, _GOOD = "demo:2026.11.1", "demo:2026.11.2"  # imported in this order: an older one would be refused
_CHANGES = {
    _GOOD: ("context: 2048", "context: 1024"),
    _BAD: ("    parallel: 1\n", "    parallel: 1\n    parameters: {stop: [a, e, i, o]}\n"),
}


@dataclass(frozen=True)
class Rolling:
    """A site with its own depot, whose inventory names the release that is wanted."""

    commands: Commands
    inventory: Path
    depot: Path

    def wants(self, release: str) -> None:
        """Have the inventory name a release."""
        data = self.inventory.parent / "group_data/all.py"
        data.write_text(re.sub(r"^release = .*$", f'release = "{release}"', data.read_text(), flags=re.M))

    def status(self) -> dict[str, Any]:
        """What stands on each host."""
        ran = self.commands.run("sealift", "status", self.inventory, "--json")
        return {host["host"]: host for host in json.loads(ran.out)}

    @property
    def stands(self) -> dict[str, tuple[str, str]]:
        """Release and generation of each host."""
        found = self.status()
        return {name: (h["standing"]["release"], h["standing"]["generation"]) for name, h in found.items()}

    @property
    def last(self) -> Path:
        """The folder of the last rollout."""
        return max((self.depot.parent / "rollouts").glob("lab-*"))

    def has(self, release: str, site: Site) -> None:
        """Have a release imported, which is the demo but for one thing."""
        name, (old, new) = release.partition(":")[2], _CHANGES[release]
        work = self.depot.parent
        file, lock, bundle = work / f"{name}.yaml", work / f"{name}.lock", work / name
        text = (CHECKOUT / "releases/demo.yaml").read_text()
        assert _VERSION in text and old in text
        file.write_text(text.replace(_VERSION, f"version: {name}").replace(old, new, 1))
        ok = self.commands.ok
        ok("sealift", "lock", file, "--sources", site.sources, "--out", lock)
        ok(
            *("sealift", "build", lock, "--sources", site.sources),
            *("--key", site.release_key, "--out", bundle),
        )
        ok("sealift", "import", bundle, "--depot", self.depot, "--allowed-signers", site.allowed_signers)


@pytest.fixture(scope="module")
def rolling(site: Site, commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rolling]:
    """Two front doors, a depot of its own, and the evidence that there is; as it was at the end."""
    work = tmp_path_factory.mktemp("rolling")
    depot, inventory = work / "depot", work / "lab/lab.py"
    shutil.copytree(site.depot, depot, copy_function=lambda a, b: Path(b).hardlink_to(a))
    evidence = site.evidence.resolve()
    shutil.copytree(evidence, work / "evidence" / evidence.name)
    shutil.copytree(CHECKOUT / "inventories/lab", inventory.parent)
    inventory.write_text(f"{inventory.read_text()}\nfront = llm[:2]\n")
    data = inventory.parent / "group_data/all.py"
    text = re.sub(r"^depot = .*$", f'depot = "{depot}"', data.read_text(), flags=re.M)
    data.write_text(text + _SETTINGS)
    commands.ok("sealift", "apply", inventory)
    yield Rolling(commands, inventory, depot)
    commands.run("sealift", "rollout", inventory, "--abandon")  # of a test that failed
    for host in ("h1", "h2", "h3"):
        commands.run("sealift", "undrain", inventory, host)
    commands.ok("sealift", "apply", "lab")


def _events(rolling: Rolling) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (rolling.last / "journal.jsonl").read_text().splitlines()]


def _closed(rolling: Rolling) -> dict[str, Any]:
    last: dict[str, Any] = _events(rolling)[-1]
    assert last["kind"] == "closed"
    return last


def test_a_bad_release_is_caught_at_the_canary_which_goes_back(
    rolling: Rolling, commands: Commands, site: Site, record_property: Callable[[str, object], None]
) -> None:
    """The control process is killed on the way, and another one goes on."""
    rollout = ("sealift", "rollout", rolling.inventory)
    nothing = commands.ok(*rollout)
    assert "nothing to change: 3 hosts" in nothing.said
    record_property("without a change", f"{nothing.seconds:.1f} s")
    before = rolling.stands
    rolling.has(_BAD, site)
    rolling.wants(_BAD)
    plan = rolling.inventory.with_name("plan.json")
    planned = json.loads(commands.ok("sealift", "plan", rolling.inventory, "--out", plan, "--json").out)
    assert planned["waves"] == [["h3"], ["h1"], ["h2"]] and planned["hosts"]["h3"]["differs"]
    assert commands.kill_at('"phase":"apply"', *rollout, "--plan", plan, "--json")
    refused = commands.refused(*rollout)
    assert "has not come to its end" in refused.said and "--resume" in refused.said
    ran = commands.run("sealift", "status", rolling.inventory)
    assert ran.code == 1 and "has not come to its end" in ran.said
    bad = commands.run(*rollout, "--resume")
    record_property("bad", bad.out)
    assert bad.code == 1
    assert re.match(r"h3: .*does not hold \(.*it held before\)", _closed(rolling)["sentence"])
    assert {wave for e in _events(rolling) if (wave := e.get("wave")) is not None} == {0}
    ended = [e["phase"] for e in _events(rolling) if e["kind"] == "ended"]
    assert len(ended) == len(set(ended))  # no step was done to its end twice
    page = (rolling.last / "rollout.html").read_text()
    assert "went back" in page and "not touched" in page

    rolling.wants(before["h3"][0])
    assert rolling.stands == before
    for host in rolling.status().values():
        # What was shipped lies there until the next apply: a second try does not ship it again.
        assert [line for line in host["differs"] if "no generation needs" not in line] == []
        assert not host["drained"]
    # What the plan was made for is no more.
    assert "Make a new one" in commands.refused(*rollout, "--plan", plan).said


@pytest.mark.exhaustive
def test_a_second_release_goes_out_in_waves(
    rolling: Rolling, commands: Commands, site: Site, record_property: Callable[[str, object], None]
) -> None:
    rolling.has(_GOOD, site)
    rolling.wants(_GOOD)
    record_property("good", commands.ok("sealift", "rollout", rolling.inventory).out)
    found = rolling.status()
    assert {host["standing"]["release"] for host in found.values()} == {_GOOD}
    assert [(host["differs"], host["drained"]) for host in found.values()] == [([], False)] * 3
    assert [e["passed"] for e in _events(rolling) if e["kind"] == "judged"] == [True, True, True]
    assert _closed(rolling)["outcome"] == "done"


@pytest.mark.exhaustive
def test_killed_at_every_event_it_goes_on(rolling: Rolling, commands: Commands) -> None:
    """Each time there is something to change, in a gateway's configuration."""
    data = rolling.inventory.parent / "group_data/all.py"
    text = data.read_text()
    for at in range(2, 40):
        data.write_text(f'{text}\ngateway["requests_per_minute"] = {1000 + at}\n')
        limit = ("--limit", "h3")
        commands.kill_at("", "sealift", "rollout", rolling.inventory, *limit, "--json", lines=at)
        over = _events(rolling)[-1]["kind"] == "closed"
        if not over:
            commands.ok("sealift", "rollout", rolling.inventory, "--resume")
        found = rolling.status()["h3"]
        assert (found["differs"], found["drained"]) == ([], False), at
        if over:
            commands.ok("sealift", "rollout", rolling.inventory, *limit)  # which frees its locks
            return
    raise AssertionError("it was killed to the last")
