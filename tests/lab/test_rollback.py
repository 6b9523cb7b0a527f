"""Hosts go back to all that they were, told to or by themselves, whatever the newer release left of them."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.fleet import generations
from sealift.lab.cgroup import host_cgroup
from sealift.lab.layout import Lab, LabHost
from sealift.site.inventory import Host, load_inventory
from tests.lab.commands import Commands
from tests.lab.conftest import Site
from tests.lab.newer import VERSION, everything, newer_site
from tests.lab.test_repair import differs

ROOT = "/var/lib/sealift"
CLASSIFY = f"{ROOT}/models/manifests/registry.ollama.ai/library/classify/latest"
# Fails where a blob is missing that a generation names.
LACKING = f"for hex in $(cat {ROOT}/{{}}/blobs); do test -f {ROOT}/blobs/sha256/$hex || exit 1; done"
PATIENCE_S = 300
OLLAMA = "$(docker ps --all --quiet --filter name=sealift-ollama)"


@pytest.fixture(scope="module")
def newer(site: Site, commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An inventory that wants the second release. Afterwards all is as it was."""
    yield newer_site(site, commands, tmp_path_factory.mktemp("newer"))
    commands.ok("sealift", "apply", "lab")
    (site.depot / "releases/demo" / VERSION).unlink()  # other tests bring releases between the two
    commands.ok("sealift", "gc", "--depot", site.depot, "--inventory", "lab", "--apply")


def on(commands: Commands, *names: str) -> tuple[Host, ...]:
    """Hosts of the lab, as the engine has them."""
    os.environ["SEALIFT_LAB"] = str(commands.lab)
    return load_inventory("lab").limited(names).hosts


def back(commands: Commands, host: str) -> str:
    """Wait until a host has gone back by itself; gives what it noted."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        noted = commands.on(host, f"cat {ROOT}/returned 2>/dev/null || echo not yet").strip()
        if noted != "not yet":
            return noted
        time.sleep(1)
    raise AssertionError(commands.on(host, "cat /run/sealift-return.log; systemctl status sealift-return.*"))


def test_a_rollback_brings_back_all_that_a_host_was(site: Site, commands: Commands, newer: Path) -> None:
    hosts = ("h1", "h2", "h3")
    before = {host: everything(commands, host) for host in hosts}
    commands.ok("sealift", "apply", newer)
    after = {host: everything(commands, host) for host in hosts}
    for host in hosts:
        changed = "\n".join(set(after[host]) ^ set(before[host]))
        for what in ("pv\t", "library/classify", "/opt/ollama/LICENSE", "localhost/sealift/node:1.9.0"):
            assert what in changed, f"{host}: {what} is the same in both releases"
    # nothing of the depot is needed for it
    shutil.move(site.depot / "blobs", site.lab / "away")
    try:
        would = json.loads(commands.ok("sealift", "rollback", newer, "--dry-run", "--json").out)
        assert {host: each["back_to"]["release"] for host, each in would.items()} == dict.fromkeys(
            hosts, "demo:2026.11.0"
        )
        ran = commands.ok("sealift", "rollback", newer)
        assert "h2: is what the record says: demo:2026.11.0" in ran.said
        assert "The inventory still names demo:2026.11.0+newer. Name demo:2026.11.0" in ran.said
        assert {host: everything(commands, host) for host in hosts} == before
        again = json.loads(commands.ok("sealift", "rollback", newer, "--json").out)
    finally:
        shutil.move(site.lab / "away", site.depot / "blobs")
    assert {host: each["ok"] for host, each in again.items()} == dict.fromkeys(hosts, True)
    did = [line.split(" ", 1)[1] for each in again.values() for line in each["did"] if line[:2].isdigit()]
    assert all(line.startswith(("runs sealift-", "this host is")) for line in did)
    for found in differs(commands).values():
        assert [line for line in found if "no generation needs" not in line] == []


def test_a_host_that_nobody_confirms_goes_back_by_itself(site: Site, commands: Commands, newer: Path) -> None:
    """Its candidate has destroyed its container; nothing that the last good one needs has gone."""
    (host,) = on(commands, "h2")
    before = everything(commands, "h2")
    good = commands.on("h2", f"basename $(readlink {ROOT}/current)").strip()
    generations.arm([host], 3600).all()
    commands.ok("sealift", "apply", newer, "--limit", "h2")
    stands = generations.stands([host]).all()["h2"]
    assert stands.armed and stands.previous and stands.previous.id == good
    assert stands.current and stands.current.release == "demo:2026.11.0+newer"
    commands.on("h2", f"test ! -e {CLASSIFY} && {LACKING.format('previous')}")
    commands.on("h2", f"docker rm --force {OLLAMA}")
    generations.arm([host], 1).all()
    assert back(commands, "h2").endswith(f" {good}")
    assert everything(commands, "h2") == before
    assert commands.on("h2", "ls /etc/systemd/system/sealift-return.* 2>/dev/null || echo none") == "none\n"
    refused = generations.confirm([host]).errors["h2"]
    assert "went back by itself" in str(refused)


def test_the_device_outlives_a_reload_of_systemd_and_a_restart_of_docker(
    site: Site, commands: Commands
) -> None:
    """Read in the container that runs, which is the same one afterwards."""
    read = (
        "id=$(docker ps --quiet --no-trunc --filter name=sealift-ollama); echo $id; "
        "docker exec $id sh -c ': </dev/stand-in-gpu && echo opened'"
    )
    before = commands.on("h3", read)
    commands.on("h3", "systemctl daemon-reload; systemctl restart docker")
    assert commands.on("h3", read) == before
    assert before.splitlines()[1:] == ["opened"]


def power_fails(commands: Commands) -> None:
    """h2 loses power, and is booted again."""
    host_cgroup(LabHost(Lab(commands.lab.resolve()), 2)).kill()
    commands.ok("sealift", "lab", "up")


@pytest.mark.exhaustive
def test_power_that_fails_between_stop_and_start_ends_in_the_last_good_state(
    site: Site, commands: Commands, newer: Path
) -> None:
    (host,) = on(commands, "h2")
    commands.ok("sealift", "apply", "lab", "--limit", "h2")
    before = everything(commands, "h2")
    generations.arm([host], 20).all()
    commands.ok("sealift", "ship", newer, "--limit", "h2")
    generations.arm([host], 600).all()
    commands.ok("sealift", "apply", newer, "--limit", "h2")
    generations.arm([host], 20).all()
    commands.on("h2", f"docker rm --force {OLLAMA}")
    power_fails(commands)
    back(commands, "h2")
    assert everything(commands, "h2") == before


@pytest.mark.exhaustive
def test_a_way_back_that_is_cut_off_by_power_is_gone_on_with(
    site: Site, commands: Commands, newer: Path
) -> None:
    commands.ok("sealift", "apply", "lab", "--limit", "h2")
    before = everything(commands, "h2")
    commands.ok("sealift", "apply", newer, "--limit", "h2")
    commands.kill_after(6, "sealift", "rollback", newer, "--limit", "h2", "--at-once")
    power_fails(commands)
    back(commands, "h2")
    assert everything(commands, "h2") == before


@pytest.mark.exhaustive
def test_what_is_confirmed_stays_and_can_still_be_left(site: Site, commands: Commands, newer: Path) -> None:
    (host,) = on(commands, "h2")
    commands.ok("sealift", "apply", "lab", "--limit", "h2")
    before = everything(commands, "h2")
    generations.arm([host], 3600).all()
    commands.ok("sealift", "apply", newer, "--limit", "h2")
    generations.confirm([host]).all()
    commands.on("h2", f"{LACKING.format('previous')}; {LACKING.format('current')}")
    assert commands.changed_operations(newer)["h2"] == []
    stands = generations.stands([host]).all()["h2"]
    assert not stands.armed and not stands.unconfirmed
    commands.ok("sealift", "rollback", newer, "--limit", "h2")
    assert everything(commands, "h2") == before


@pytest.mark.exhaustive
def test_a_candidate_that_never_started_is_left(site: Site, commands: Commands, newer: Path) -> None:
    """Its image cannot run at all: the host goes back in the same apply, and says so."""
    commands.ok("sealift", "apply", "lab", "--limit", "h2")
    before = everything(commands, "h2")
    settings = newer.parent / "group_data/all.py"
    text = settings.read_text()
    settings.write_text(f'{text}\ngateway["memory_limit_mib"] = 8\n')
    try:
        failed = commands.run("sealift", "apply", newer, "--limit", "h2")
    finally:
        settings.write_text(text)
    assert failed.code != 0
    assert everything(commands, "h2") == before
