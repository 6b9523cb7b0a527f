"""What held of hosts before a rollout: evidence of what stood there, and of nothing that did not pass."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from sealift.evidence import record
from sealift.evidence.types import ClaimResult, Evidence, VerifiedHost
from sealift.rollout.events import Before, Began, Ended, Judged
from sealift.rollout.journal import Journal
from sealift.rollout.known import held_before
from sealift.site.inventory import Host, Inventory
from tests.unit.fleet_site import site_settings
from tests.unit.rollouts import START, opening

OLD, NEW = (f"sha256:{digit * 64}" for digit in "12")
_STOOD = {name: Before(generation="a", release="demo:1", bundle=OLD) for name in ("h1", "h2")}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    settings = site_settings(depot=str(tmp_path / "depot"))
    return Inventory("prod", Path("prod.py"), tuple(Host(n, frozenset(), settings) for n in ("h1", "h2")))


def _verified(site: Inventory, hours: int, bundle: str, **outcomes: str) -> str:
    claims = [
        {"host": host, "area": "a", "name": "n", "claim": "c", "outcome": outcome, "seconds": 0}
        for host, outcome in outcomes.items()
    ]
    evidence = Evidence(
        inventory="prod",
        release="demo:1",
        bundle=bundle,
        verified_at=START + timedelta(hours=hours),
        verified_on="c",
        hosts=tuple(VerifiedHost(name=host, address="", groups=()) for host in outcomes),
        results=tuple(map(ClaimResult.model_validate, claims)),
    )
    return record.write(evidence, record.lasting_folder(site)).name


def _held(site: Inventory) -> dict[str, str]:
    return {host: claims["a", "n"] for host, claims in held_before(site, _STOOD).items()}


def test_the_last_evidence_of_what_stood_there_counts(site: Inventory) -> None:
    assert _held(site) == {}
    _verified(site, -3, OLD, h1="failed", h2="passed")
    _verified(site, -2, OLD, h1="passed")
    _verified(site, -1, NEW, h2="failed")  # of another bundle than stands there
    assert _held(site) == {"h1": "passed", "h2": "passed"}


@pytest.mark.parametrize("judged", [None, False])
def test_a_bad_generation_does_not_pass_the_second_time(site: Inventory, judged: bool | None) -> None:
    """The same bundle with other settings: only the journal knows that it did not pass."""
    _verified(site, -2, OLD, h1="passed")
    bad = _verified(site, -1, OLD, h1="failed")
    journal = Journal(site.hosts[0].settings.depot.parent / "rollouts/prod-20261129T110000Z")
    journal.add(opening((("h1",),), before=_STOOD))
    journal.add(Began(at=START, wave=0, phase="verify", hosts=("h1",)))
    journal.add(Ended(at=START, wave=0, phase="verify", seconds=1, evidence=bad))
    if judged is not None:
        journal.add(Judged(at=START, wave=0, passed=judged, sentence="so"))
    assert _held(site) == {"h1": "passed"}


def test_of_a_wave_that_passed_only_the_hosts_that_failed_do_not_count(site: Inventory) -> None:
    _verified(site, -2, OLD, h1="passed", h2="passed")
    last = _verified(site, -1, OLD, h1="failed", h2="failed")
    journal = Journal(site.hosts[0].settings.depot.parent / "rollouts/prod-20261129T110000Z")
    journal.add(opening((("h1", "h2"),), before=_STOOD, canary=False, allowed=1))
    journal.add(Began(at=START, wave=0, phase="verify", hosts=("h1", "h2")))
    journal.add(
        Ended(at=START, wave=0, phase="verify", seconds=1, evidence=last, failed={"h1": "c does not hold"})
    )
    journal.add(Judged(at=START, wave=0, passed=True))
    assert _held(site) == {"h1": "passed", "h2": "failed"}  # of h2 it was known, and let through
