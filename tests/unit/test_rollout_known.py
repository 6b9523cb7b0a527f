"""What held of hosts before a rollout: evidence of what stood there, and of nothing that did not pass."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from sealift.errors import SealiftError
from sealift.evidence import record
from sealift.evidence.types import ClaimResult, Evidence, VerifiedHost
from sealift.rollout import known as module
from sealift.rollout.events import Before, Began, Ended, Judged
from sealift.rollout.journal import Journal
from sealift.rollout.known import firing_now, held_before
from sealift.services import MONITOR_GROUP
from sealift.site.inventory import Host, Inventory
from sealift.ssh import Ssh
from sealift.watch.firing import Alert
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


def test_evidence_of_a_site_with_a_longer_name_hides_none(site: Inventory) -> None:
    _verified(site, -2, OLD, h1="passed")
    last = record.lasting_folder(site) / _verified(site, -1, OLD, h1="failed")
    last.rename(last.with_name(last.name.replace("prod-", "prod-eu-")))
    assert _held(site) == {"h1": "passed"}


@pytest.mark.parametrize(("said", "watched"), [("none=\n", False), ("", True), (None, True)])
def test_a_prometheus_that_is_silent_is_not_one_that_is_yet_to_come(
    site: Inventory, monkeypatch: pytest.MonkeyPatch, said: str | None, watched: bool
) -> None:
    asked: list[int] = []

    def firing(*_: object) -> tuple[Alert, ...]:
        asked.append(1)
        raise SealiftError("h1: Prometheus does not run there")

    def run(*_: object) -> str:
        if said is None:
            raise SealiftError("h1: does not answer")
        return said

    assert firing_now(site) is None  # no host watches
    monitor = replace(site.hosts[0], groups=frozenset({MONITOR_GROUP}))
    release = SimpleNamespace(images={"prometheus": None})
    target = SimpleNamespace(host=monitor, stored=SimpleNamespace(lock=SimpleNamespace(release=release)))
    monkeypatch.setattr(module, "targets", lambda _: (target,))
    monkeypatch.setattr(module, "firing", firing)
    monkeypatch.setattr(module, "_PAUSE_S", 0)
    monkeypatch.setattr(Ssh, "run", run)
    with pytest.raises(SealiftError, match="does not run there") if watched else nullcontext():
        assert firing_now(replace(site, hosts=(monitor,)), 3) is None
    assert len(asked) == 3
