"""From staging to production by a signed record and an approved plan, in a window, without the depot."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sealift.host_paths import BLOBS, CURRENT
from sealift.rollout.window import Window
from tests.lab.commands import CHECKOUT, Commands
from tests.lab.conftest import Site, digest_of
from tests.lab.sniffer import Heard, listening
from tests.lab.test_closed import connecting
from tests.lab.test_upgrade import upgraded
from tests.lab.under_load import address

pytestmark = pytest.mark.exhaustive

_RECEIVED = "cat /proc/net/dev | awk -F'[: ]+' '$2 != \"lo\" && NR > 2 {sum += $3} END {print sum}'"
# Bytes that a host may get after shipping: commands, configuration, the package index, and acceptance, which
# sends a request that is larger than 16 MiB. 18 MB were seen. The release has 817 MB.
_MOST = 40_000_000
# What is asked of a host: its sshd, its gateway, and the figures of its node exporter and gateway.
_SERVED = {22, 8443, 9100, 9464}
_SOON_S = 10  # before the window opens


def _inventory(folder: Path, name: str, host: str, **promotion: object) -> Path:
    """The lab's inventory with one host only, the next release, and settings of promotion."""
    copied = folder / name
    shutil.copytree(CHECKOUT / "inventories/lab", copied)
    path = copied / f"{name}.py"
    chosen = f'llm = [each for each in llm if each[0] == "{host}"]\ngpu = llm if "{host}" == "h3" else []\n'
    path.write_text((copied / "lab.py").read_text() + f"{chosen}monitor = []\n")
    (copied / "lab.py").unlink()
    with (copied / "group_data/all.py").open("a") as file:
        file.write(f"release = 'demo:2026.11.1'\ndepot = {str(folder / 'depot')!r}\n")
        file.write(f"rollout = {{'soak_s': 0, 'drain_s': 5}}\npromotion = {promotion!r}\n")
    return path


def _signers(folder: Path, commands: Commands, **namespaces: str) -> Path:
    """Keys of people, and who may say what."""
    lines = []
    for who, allowed in namespaces.items():
        commands.ok("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / who)
        public = (folder / f"{who}.pub").read_text().split()[:2]
        lines.append(f'{who} namespaces="{allowed}" {" ".join(public)}\n')
    (folder / "signers").write_text("".join(lines))
    return folder / "signers"


@pytest.fixture
def depot(site: Site, commands: Commands, tmp_path: Path) -> Iterator[Path]:
    """The site's depot once more, with the next release; hosts have the old one again at the end."""
    depot = tmp_path / "depot"
    shutil.copytree(site.depot, depot, copy_function=lambda a, b: Path(b).hardlink_to(a))
    lock, bundle = upgraded(site, commands, tmp_path), tmp_path / "next"
    key = ("--key", site.release_key)
    commands.ok("sealift", "build", lock, "--sources", site.sources, "--out", bundle, *key)
    commands.ok("sealift", "import", bundle, "--depot", depot, "--allowed-signers", site.allowed_signers)
    yield depot
    commands.run("sealift", "rollout", tmp_path / "prod/prod.py", "--abandon")  # of a test that failed
    commands.on_control("cd /srv/sealift/deployment && sealift apply lab")


def test_production_takes_what_passed_in_staging_and_needs_no_depot_to_activate_it(
    site: Site, commands: Commands, depot: Path, tmp_path: Path, record_property: pytest.FixtureRequest
) -> None:
    signers = _signers(tmp_path, commands, stage="sealift-promotion", anna="sealift-approval")
    staging = _inventory(tmp_path, "staging", "h2", key=str(tmp_path / "stage"))
    rules = {
        "from": ["staging"],
        "approvals": 1,
        "signers": str(signers),
        "statements": str(tmp_path / "said"),
    }
    prod = _inventory(tmp_path, "prod", "h3", **rules)

    for command in ("rollout", "apply"):
        refused = commands.refused("sealift", command, prod).said
        assert "prod: takes only what passed in staging, and no record says so of demo:2026.11.1" in refused
        assert "Refused: nothing was changed on any host." in refused

    passed = commands.ok("sealift", "rollout", staging)
    found = re.search(r"record +(\S+\.json)", passed.out)
    assert found, passed.said
    record = Path(found[1])
    said = json.loads(record.read_text())
    assert (said["environment"], said["bundle"]) == ("staging", digest_of(tmp_path / "next"))
    assert said["hosts"] == 1 and said["claims"]["answers"] > 0

    commands.on("h3", f"cd {BLOBS} && rm $(ls -S | tail -n 1)")  # the release brings no blob of its own
    commands.ok("sealift", "promote", "take", prod, record)
    plan = re.search(r"--plan (sha256:[0-9a-f]{64})", commands.refused("sealift", "rollout", prod).said)
    assert plan, "the refusal names the plan that has to be approved"
    commands.ok("sealift", "promote", "approve", prod, "--plan", plan[1], "--key", tmp_path / "anna")
    received, heard = _in_its_window(commands, prod, depot)
    record_property("bytes that the host got while it activated", received)  # type: ignore[operator]
    assert received < _MOST
    # It fetched nothing from anybody: but for the one connection that it was told to begin, which shows that
    # such a thing is heard, it sent answers, and asked by ARP for the addresses of those whom it answered.
    assert heard.lost == 0
    began = [(protocol, peer, port) for protocol, _, peer, port in heard.began]
    assert began == [("tcp", address(commands, "h2"), 22)]
    assert {22, 8443} <= heard.answered <= _SERVED
    assert "2026.11.1" in commands.on("h3", f"cat {CURRENT}/release.json")
    assert "nothing to change" in commands.ok("sealift", "rollout", prod).out


def _stored(commands: Commands) -> tuple[str, set[str]]:
    """The generation of h3, and the blobs that it has."""
    said = commands.on("h3", f"readlink {CURRENT} && ls {BLOBS}")
    generation, *blobs = said.split()
    return generation, set(blobs)


def _in_its_window(commands: Commands, prod: Path, depot: Path) -> tuple[int, Heard]:
    """Roll out: ship now, move the depot away, and activate in a window that begins in two or three minutes.

    Gives the bytes that h3 got once all was shipped, and what it began on the network from then on.
    """
    opens = (datetime.now() + timedelta(minutes=3)).replace(second=0, microsecond=0)
    closes = opens + timedelta(hours=1)
    window, away = str(Window(opens.time(), closes.time())), depot.with_name("away")
    before, told = _stored(commands), []
    rollout = ("sealift", "rollout", prod, "--activate-in", window, "--json")
    with commands.telling(*rollout) as events:
        for event in events:
            told.append(event)
            if (event["kind"], event.get("phase")) == ("ended", "ship"):
                break
        else:
            raise AssertionError(f"nothing was shipped: {told}")
        depot.rename(away)
        try:
            with listening(commands, "h3") as heard:
                received, shipped = int(commands.on("h3", _RECEIVED)), _stored(commands)
                assert shipped[0] == before[0]
                time.sleep(max(0.0, (opens - datetime.now()).total_seconds() - _SOON_S))
                assert _stored(commands) == shipped
                assert datetime.now() < opens, "that took too long to show anything of the window"
                told += events
                received = int(commands.on("h3", _RECEIVED)) - received
                commands.on("h3", connecting(address(commands, "h2")))
        finally:
            away.rename(depot)
    needed = set(commands.on("h3", f"cat {CURRENT}/blobs").split())
    assert needed <= shipped[1] and not needed <= before[1]
    assert told[0]["window"] == window and told[-1]["outcome"] == "done"
    began = [
        datetime.fromisoformat(event["at"])
        for event in told
        if event["kind"] == "began" and event["phase"] != "ship"
    ]
    assert opens.astimezone() <= min(began) and max(began) < closes.astimezone()
    return received, heard
