"""What is left of a rollout: the report, its pages and signature, the lines that people see."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sealift.bundle.signature import verify
from sealift.cli.rollout_view import lines, named
from sealift.errors import SealiftError
from sealift.evidence import record
from sealift.evidence.types import ClaimResult, Evidence, VerifiedHost
from sealift.rollout import engine, pages
from sealift.rollout.events import Before, Closed, Ended, Event
from sealift.rollout.journal import Journal
from sealift.rollout.plan import expected_s, read_plan
from sealift.rollout.report import Report, report
from sealift.site.inventory import Host, Inventory
from tests.unit.fleet_site import site_settings
from tests.unit.rollouts import START, Fleet, opening

_OLD = {name: Before(generation="a" * 12, release="demo:1", bundle="sha256:" + "12" * 32) for name in "xyz"}
_BEFORE = {f"h{n}": next(iter(_OLD.values())) for n in range(1, 6)}


@pytest.fixture(autouse=True)
def _no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at here is what is written, and not when it is on the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def _events(folder: Path, failing: dict[str, str], **more: Any) -> list[Event]:
    journal = Journal(folder)
    journal.add(opening(before=_BEFORE, **more))
    engine.go(journal, Fleet(names=tuple(_BEFORE), failing=failing), lambda _: None)
    return journal.events


def _outcomes(made: Report) -> dict[str, str]:
    return {host.name: host.outcome for host in made.hosts}


def test_what_became_of_each_host(tmp_path: Path) -> None:
    made = report(_events(tmp_path / "1", {}, unchanged=("h4",), failed={"h5": "is gone"}, allowed=1), "")
    assert made.outcome == "done" and made.sentence == ""
    done = {"h1": "done", "h2": "done", "h3": "done", "h4": "unchanged", "h5": "left out"}
    assert _outcomes(made) == done
    assert {host.name: host.after for host in made.hosts}["h3"] == "demo:2"
    assert [(wave.number, wave.canary, wave.passed) for wave in made.waves] == [
        (1, True, True),
        (2, False, True),
        (3, False, True),
    ]
    bad = report(_events(tmp_path / "2", {"h3": "verify"}), "")
    assert (bad.outcome, bad.sentence) == ("failed", "h3: fails in verify")
    assert _outcomes(bad) == {
        "h1": "not touched",
        "h2": "not touched",
        "h3": "went back",
        "h4": "unchanged",
        "h5": "unchanged",
    }
    assert {host.name: host.after for host in bad.hosts}["h3"] == "demo:1"
    assert [wave.passed for wave in bad.waves] == [False, None, None]


def test_a_host_that_failed_and_stayed_is_not_said_to_be_anything(tmp_path: Path) -> None:
    stays = report(_events(tmp_path / "1", {"h1": "verify"}, on_failure="stop"), "")
    assert {name: came for name, came in _outcomes(stays).items() if name in ("h1", "h2", "h3")} == {
        "h1": "failed",
        "h2": "not touched",
        "h3": "done",
    }
    assert next(host for host in stays.hosts if host.name == "h1").after == ""


def _site(folder: Path) -> Inventory:
    settings = site_settings(depot=str(folder / "depot"))
    return Inventory("prod", Path("prod.py"), (Host("h3", frozenset(), settings),))


def _evidence(outcome: str, said: str, hours: int) -> Evidence:
    claim = ClaimResult.model_validate(
        {
            "host": "h3",
            "area": "quality",
            "name": "test_keeps_its_objectives[chat]",
            "claim": "The role keeps its objectives.",
            "outcome": outcome,
            "seconds": 1,
            "observed": {"first token": said},
        }
    )
    return Evidence(
        inventory="prod",
        release="demo:2",
        bundle="sha256:" + "ab" * 32,
        verified_at=START + timedelta(hours=hours),
        verified_on="control",
        hosts=(VerifiedHost(name="h3", address="10.0.0.3", groups=()),),
        results=(claim,),
    )


def test_the_pages_of_a_rollout_are_signed_and_listed(tmp_path: Path) -> None:
    site = _site(tmp_path)
    record.write(_evidence("passed", "kept: 1.0 s", -1), record.lasting_folder(site))
    later = record.write(_evidence("failed", "broken: 9.0 s <b>", 1), record.lasting_folder(site))
    journal = Journal(tmp_path / "rollouts/prod-20261129T120000Z")
    for event in _events(tmp_path / "else", {"h3": "verify"}, waves=(("h3",),)):
        is_verified = isinstance(event, Ended) and event.phase == "verify"
        journal.add(event.model_copy(update={"evidence": later.name}) if is_verified else event)
    key, signers = tmp_path / "key", tmp_path / "signers"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    signers.write_text(f'prod namespaces="sealift-rollout" {public}\n')
    page = pages.write(site, journal, key).read_text()
    assert "h3: fails in verify" in page and "went back" in page
    assert page.count('<svg class="chart"') == 1 and ">first token, s</figcaption>" in page
    assert "kept: 1.0 s" in page and "broken: 9.0 s &lt;b&gt;" in page
    assert f"../../evidence/{later.name}/evidence.html" in page and "<script" not in page
    content, signature = ((journal.folder / name).read_bytes() for name in (pages.JSON, pages.SIGNATURE))
    assert verify(content, signature, signers, pages.NAMESPACE, pages.JSON) == "prod"
    assert Report.model_validate_json(content).sentence == "h3: fails in verify"
    suites = ElementTree.fromstring((journal.folder / pages.JUNIT).read_text())  # noqa: S314 - our own
    assert suites.get("failures") == "2"  # the claim, and that the host is what it was to be
    listed = (tmp_path / "rollouts/prod.html").read_text()
    assert 'href="prod-20261129T120000Z/rollout.html"' in listed and "failed" in listed


def test_people_are_told_in_lines(tmp_path: Path) -> None:
    events = _events(tmp_path, {"h3": "verify"})
    told = [line for event in events for line in lines(event, opening())]
    assert told[0] == "rollout prod-20261129T120000Z: demo:2 to 3 hosts in 3 waves"
    assert "wave 1 (canary): h3" in told and "    h3: fails in verify" in told
    assert "  gate failed" in told and told[-1] == "failed: h3: fails in verify"
    assert named(tuple("abcdefgh")) == "a, b, c, d, e, f and 2 more"


def _took(ship_s: float, wave_s: float, total: int, outcome: str = "done") -> list[Event]:
    first = opening(bytes=total)
    waves = [Ended(at=START, wave=n, phase="apply", seconds=wave_s) for n in range(3)]
    closed = Closed.model_validate({"at": START, "outcome": outcome})
    return [first, Ended(at=START, wave=0, phase="ship", seconds=ship_s), *waves, closed]


def test_the_next_rollout_takes_as_long_as_earlier_ones_say() -> None:
    assert expected_s([], 10, 3) is None
    assert expected_s([_took(10, 60, 1000, "failed")], 10, 3) is None
    assert expected_s([_took(10, 60, 1000)], 500, 2) == 5 + 120
    assert expected_s([_took(10, 60, 1000), _took(30, 20, 1000)], 1000, 3) == 20 + 120
    assert expected_s([_took(0, 60, 0)], 500, 1) is None  # nothing was ever shipped
    assert expected_s([_took(0, 60, 0)], 0, 1) == 60


def test_what_is_no_plan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"format": 2}')
    with pytest.raises(SealiftError, match="expected a plan"):
        read_plan(path)
