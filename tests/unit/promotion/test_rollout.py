"""A rollout begins only where the site takes its release, and signs a record at its end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sealift.errors import SealiftError
from sealift.evidence.record import write
from sealift.fleet.generations import Kept, Stands
from sealift.promotion.making import approval_of
from sealift.rollout import promoting as module
from sealift.rollout.prepared import Prepared
from sealift.rollout.promoting import recorded, require_permitted
from sealift.ssh import Gathered
from tests.unit.promoting import HOSTS, NOW, Promoting

PLAN = f"sha256:{'5' * 64}"


def _prepared(site: Promoting, changing: tuple[str, ...] = HOSTS, /, **promotion: Any) -> Prepared:
    """As far as promotion looks at it; no host runs anything yet."""
    targets = [SimpleNamespace(host=SimpleNamespace(name=name), stored=site.stored) for name in HOSTS]
    found = SimpleNamespace(
        site=site.inventory(**promotion),
        targets=targets,
        changing=changing,
        statuses={name: SimpleNamespace(standing=None) for name in HOSTS},
        fingerprint=PLAN,
    )
    return cast("Prepared", found)


def test_a_rollout_is_refused_by_the_plans_own_fingerprint(site: Promoting) -> None:
    with pytest.raises(SealiftError, match=f"--plan {PLAN} --key KEY\nRefused: nothing was changed") as error:
        require_permitted(_prepared(site, approvals=1), NOW)
    assert str(error.value).count("\n") == 1
    release = site.stored.lock.release.reference
    site.say(approval_of("prod", release, site.stored.digest, PLAN, NOW), "ben")
    assert require_permitted(_prepared(site, approvals=1), NOW).approvals


def test_hosts_that_it_leaves_alone_ask_for_no_record(site: Promoting) -> None:
    with pytest.raises(SealiftError, match="takes only what passed in staging"):
        require_permitted(_prepared(site, **{"from": ["staging"]}), NOW)
    assert require_permitted(_prepared(site, (), **{"from": ["staging"]}), NOW).records == ()


def test_the_record_of_a_rollout_is_of_the_newest_evidence(
    site: Promoting, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Kept("a" * 12, "demo:2026.11.0", site.stored.digest, NOW, True)
    before = Kept("b" * 12, "demo:2026.10.0", f"sha256:{'1' * 64}", NOW, True)
    found = {host: Stands(runs, before, (runs, before)) for host in HOSTS}
    monkeypatch.setattr(module, "stands", lambda _: Gathered(found, {}))
    staging = site.inventory("staging", key=str(site.key("stage")))
    assert recorded(site.inventory("staging"), site.stored.digest, NOW) == (None, "")
    path, why = recorded(staging, site.stored.digest, NOW)
    assert path is None and "no record was signed:" in why and "has no evidence of staging" in why
    write(site.evidence(verified_at=NOW - timedelta(minutes=5)), Path(site.folder / "evidence"))
    path, why = recorded(staging, site.stored.digest, NOW)
    assert path is not None and path.is_file() and why == ""
    found["h2"] = Stands(before, before, (runs, before))  # taken back meanwhile
    path, why = recorded(staging, site.stored.digest, NOW)
    assert path is None and "h2: is on another bundle" in why
    assert require_permitted(_prepared(site, **{"from": ["staging"]}), NOW).records
