"""Waves, journals and gates: what a rollout goes by."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from sealift.drift.checks import _generation
from sealift.errors import SealiftError
from sealift.evidence.types import ClaimResult
from sealift.facts.text import Links
from sealift.fleet.wave import HostResult
from sealift.host.rollout_settings import RolloutSettings, hosts_of
from sealift.rollout import gate
from sealift.rollout.events import Closed, Ended
from sealift.rollout.journal import JOURNAL, Journal, folders, journals, new_folder, parse, unfinished
from sealift.rollout.waves import DOOR, has_canary, require_canary, waves
from sealift.site.inventory import Host, Inventory
from sealift.watch.firing import Alert
from tests.unit.fleet_site import site_settings, wanted
from tests.unit.rollouts import START, opening

_NAMES = tuple(f"h{n}" for n in range(1, 13))
_ALL = {name: frozenset({"chat"}) for name in _NAMES}


def _waves(*hosts: str, answers: dict[str, frozenset[str]] | None = None, **settings: object) -> list[str]:
    told = _ALL if answers is None else answers
    found = waves(hosts, len(told), told, RolloutSettings.model_validate(settings))
    return [" ".join(wave) for wave in found]


def test_the_canary_goes_first_then_batches_grow() -> None:
    assert _waves(*reversed(_NAMES)) == ["h1", "h2 h3", "h4 h5 h6 h7 h8 h9", "h10 h11 h12"]
    assert _waves(*_NAMES, canary=("h7",), batches=(4,)) == [
        "h7",
        "h1 h2 h3 h4",
        "h5 h6 h8 h9",
        "h10 h11 h12",
    ]
    assert _waves(*_NAMES, canary=0, batches=("50%", "100%")) == [
        "h1 h2 h3 h4 h5 h6",
        "h7 h8 h9 h10 h11 h12",
    ]
    assert _waves() == []


def test_batches_of_a_large_site_are_shares_of_it() -> None:
    names = tuple(f"h{n}" for n in range(500))
    answers = {name: frozenset({"chat"}) for name in names}
    assert [len(w) for w in waves(names, 500, answers, RolloutSettings())] == [1, 50, 250, 199]
    assert [hosts_of(share, 3) for share in ("0%", "1%", "50%", "100%", 2)] == [0, 1, 2, 3, 2]


def test_a_wave_leaves_somebody_who_answers_each_role() -> None:
    three = {
        "h1": frozenset({"chat", "embed"}),
        "h2": frozenset({"chat"}),
        "h3": frozenset({"chat", "embed"}),
    }
    assert _waves("h1", "h2", "h3", answers=three, canary=0, batches=("100%",)) == ["h1 h2", "h3"]
    two = {"h1": frozenset({"chat"}), "h2": frozenset({"chat"}), "h3": frozenset({"embed"})}
    # Nobody answers embed beside h3: it may go with another.
    assert _waves("h1", "h2", "h3", answers=two, canary=0, batches=("100%",)) == ["h1 h3", "h2"]
    # h2 is drained, or left out: h1 is the last one that answers.
    assert _waves("h1", "h2", answers={"h1": frozenset({"chat"}), "h2": frozenset()}) == ["h1", "h2"]


def test_front_doors_go_last_and_never_all_at_once() -> None:
    doors = {**_ALL, "h1": frozenset({"chat", DOOR}), "h2": frozenset({"chat", DOOR})}
    found = _waves(*_NAMES[:4], answers=doors, canary=1, batches=("100%",))
    assert found == ["h3", "h4 h1", "h2"]


def test_a_canary_that_is_no_host_is_told_and_one_that_does_not_answer_is_none() -> None:
    with pytest.raises(SealiftError, match=r"rollout\.canary: h77: no host"):
        require_canary(RolloutSettings(canary=("h1", "h77")), ("h1", "h2"))
    require_canary(RolloutSettings(canary=("h2",)), ("h1", "h2"))
    assert _waves("h1", answers={"h1": frozenset({"chat"})}, canary=("h2",)) == ["h1"]
    named = RolloutSettings(canary=("h5",))
    assert has_canary(("h5",), named) and not has_canary(("h1",), named)
    assert has_canary(("h1",), RolloutSettings()) and not has_canary(("h1",), RolloutSettings(canary=0))


def test_a_torn_last_line_is_taken_off_and_written_anew(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add(opening())
    journal.add(Ended(at=START, wave=0, phase="ship", seconds=1))
    path = tmp_path / JOURNAL
    whole = path.read_bytes()
    for cut in range(1, len(whole) - whole.index(b"\n")):
        path.write_bytes(whole[:-cut])
        torn = Journal(tmp_path)
        assert len(torn.events) == 1, cut
        torn.add(Ended(at=START, wave=0, phase="ship", seconds=1))
        assert path.read_bytes() == whole
    with pytest.raises(SealiftError, match="line 1 is no event"):
        parse(b"{}\n" + whole, path)
    assert parse(b"", path) == ([], 0)


def _site(folder: Path) -> Inventory:
    settings = site_settings(depot=str(folder / "depot"))
    return Inventory("prod", Path("prod.py"), (Host("h1", frozenset(), settings),))


def test_the_last_rollout_of_a_site_is_the_one_that_may_be_unfinished(tmp_path: Path) -> None:
    site = _site(tmp_path)
    assert unfinished(site) is None
    first = Journal(new_folder(site, START))
    first.add(opening())
    assert new_folder(site, START).name == "prod-20261129T120000Z-2"
    found = unfinished(site)
    assert found is not None and found.id == "prod-20261129T120000Z" and found.opened.who == "ann"
    first.add(Closed(at=START, outcome="done"))
    assert unfinished(site) is None
    second = Journal(new_folder(site, START + timedelta(hours=1)))
    second.add(opening())
    (tmp_path / "rollouts/prod-2-20261129T150000Z").mkdir()  # of another site
    assert [each.name for each in folders(site)] == [second.id, first.id]
    assert [each.id for each in journals(site)] == [second.id, first.id]
    (second.folder / JOURNAL).write_text("{}\n{}\n")
    with pytest.raises(SealiftError, match="line 1 is no event of a rollout"):
        unfinished(site)


def _claim(name: str, outcome: str, detail: str = "") -> ClaimResult:
    claim = f"The claim {name} holds."
    values = {"host": "h1", "area": "answers", "name": name, "claim": claim, "outcome": outcome}
    return ClaimResult.model_validate({**values, "seconds": 1, "detail": detail})


def test_a_clock_that_is_set_back_hides_no_rollout(tmp_path: Path) -> None:
    site = _site(tmp_path)
    done = Journal(new_folder(site, START))
    done.add(opening())
    done.add(Closed(at=START, outcome="done"))
    for number in ("-2", "-3"):
        begun = Journal(new_folder(site, START - timedelta(days=1)))
        assert begun.id == f"prod-20261129T120000Z{number}"
        begun.add(opening())
        found = unfinished(site)
        assert found is not None and found.id == begun.id
        begun.add(Closed(at=START, outcome="done"))


def test_a_claim_that_broke_fails_the_gate_in_one_sentence() -> None:
    results = (_claim("a", "passed"), _claim("b", "failed", "E   AssertionError: 1 of 4 right\nE more"))
    held = {("answers", "a"): "passed", ("answers", "b"): "passed"}
    assert gate.claims(results, held) == ("The claim b holds: does not hold (1 of 4 right; it held before)")
    assert "was not checked before" in gate.claims(results, None)
    assert gate.claims(results[:1], None) == ""


def test_a_claim_that_was_broken_before_is_let_through() -> None:
    results = (_claim("a", "failed"), _claim("b", "failed", "why"))
    assert gate.claims(results, {("answers", "a"): "failed", ("answers", "b"): "failed"}) == ""
    found = gate.claims(results, {("answers", "a"): "failed", ("answers", "b"): "passed"})
    assert found.startswith("The claim b holds: does not hold (why; it held before")


def test_a_host_that_was_lost_or_half_changed_fails() -> None:
    assert gate.applied(None) == "was lost while it was changed"
    assert gate.applied(HostResult((), ("Load images",), 3)) == "could not be changed: Load images"
    assert gate.applied(HostResult(("Load images",), (), 3)) == ""


def test_an_alert_that_begins_to_fire_fails() -> None:
    down, slow = Alert("TargetDown", "critical", "h1", ""), Alert("RoleSlow", "warning", "h1", "role=chat")
    assert gate.alerts([down, slow], gate.named([down], "h1"), "h1") == (
        "the alert RoleSlow (role=chat) began to fire"
    )
    assert gate.alerts([down], (), "h2") == ""
    assert gate.alerts([down, slow], (), "h1") == "the alert TargetDown began to fire, and 1 more"


def test_a_host_that_waits_to_be_confirmed_is_not_as_it_should_be() -> None:
    """The generation in force is the right one, and yet the host may leave it at any moment."""
    right = wanted()
    links = next(check for check in _generation(right) if check.fact is Links)
    standing = {"current": f"generations/{right.generation.id}"}
    assert list(links.judge(standing)) == []
    assert list(links.judge({**standing, "unconfirmed": ""})) == ["the last apply did not come to its end"]
    (line,) = links.judge({**standing, "unconfirmed": "", "armed": ""})
    assert line == "goes back by itself unless a rollout confirms it"
