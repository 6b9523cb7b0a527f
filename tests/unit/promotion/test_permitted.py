"""Which release an environment takes: records, their age and signers, overrides, approvals, what is older."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.promotion import kept
from sealift.promotion.kept import find_statements
from sealift.promotion.making import approval_of, override_of
from sealift.promotion.rule import Stands
from sealift.promotion.site import log_overrides
from sealift.promotion.statements import Statement, parse_statement
from sealift.release.age import Excuse
from tests.unit.promoting import HOSTS, NOW, Promoting

ROOT = Path(__file__).parents[3]
PLAN, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def _override(site: Promoting, *lets: Excuse, environment: str = "prod", days: int = 1) -> None:
    release = site.stored.lock.release.reference
    said = override_of(environment, release, site.stored.digest, lets, "staging is down", days, NOW)
    site.say(said, "anna")


def _approve(site: Promoting, who: str, plan: str = PLAN, environment: str = "prod") -> None:
    release = site.stored.lock.release.reference
    site.say(approval_of(environment, release, site.stored.digest, plan, NOW), who)


def test_an_environment_that_asks_for_nothing_takes_any_release(site: Promoting) -> None:
    assert site.verdict(site.inventory()).problems == ()


def test_production_refuses_a_bundle_that_has_no_record(site: Promoting) -> None:
    (line,) = site.verdict(site.inventory(**{"from": ["staging"]})).problems
    assert line == (
        "prod: takes only what passed in staging, and no record says so of demo:2026.11.0, "
        f"{site.stored.digest}. Roll it out there, then bring the record: sealift promote take prod FILE"
    )


def test_production_takes_what_passed_in_staging(site: Promoting) -> None:
    path = site.say(site.passed(), "stage")
    verdict = site.verdict(site.inventory(**{"from": ["test", "staging"]}))
    assert (verdict.problems, verdict.overrides) == ((), ())
    assert [(each.path, each.signer) for each in verdict.records] == [(path, "stage@example.org")]


@pytest.mark.parametrize(
    ("who", "changes", "said"),
    [
        ("eve", {}, "nobody in .*signers made it"),
        ("anna", {}, "the list does not allow them sealift-promotion"),
        ("stage", {"verified_at": NOW - timedelta(days=31)}, "of 2026-10-29 20:15 UTC, older than 30 days"),
        ("stage", {"verified_at": NOW + timedelta(days=1)}, "which is still to come: set the clocks right"),
        ("stage", {"code": f"sha256:{'c' * 64}"}, r"by other deployment code \(sha256:cccccccccccc\) than"),
        ("stage", {"inventory": "test"}, "takes only what passed in staging"),
        ("stage", {"bundle": f"sha256:{'c' * 64}"}, "takes only what passed in staging"),
    ],
)
def test_a_record_that_does_not_count_is_named_with_why(
    who: str, changes: dict[str, object], said: str, site: Promoting
) -> None:
    site.say(site.passed(**changes), who)
    problems = "\n".join(site.verdict(site.inventory(**{"from": ["staging"]})).problems)
    assert re.search(said, problems)


def test_an_altered_record_counts_for_nothing(site: Promoting) -> None:
    path = site.say(site.passed(), "stage")
    path.write_bytes(path.read_bytes().replace(b'"hosts": 2', b'"hosts": 9'))
    problems = site.verdict(site.inventory(**{"from": ["staging"]})).problems
    assert "but not with this content" in problems[-1]


def test_signing_later_does_not_make_a_record_younger(site: Promoting) -> None:
    site.say(site.passed(verified_at=NOW - timedelta(days=31)), "stage")
    assert site.verdict(site.inventory(**{"from": ["staging"], "max_age_days": 31})).problems == ()
    assert site.verdict(site.inventory(**{"from": ["staging"], "max_age_days": 30})).problems


def test_what_runs_on_every_host_already_needs_no_record_and_may_be_expired(site: Promoting) -> None:
    stored = _expiring(site, date(2026, 11, 28))
    runs = Stands("demo:2026.11.0", stored.stored.digest)
    inventory = stored.inventory(**{"from": ["staging"]})
    assert stored.verdict(inventory, dict.fromkeys(HOSTS, runs)).problems == ()
    assert len(stored.verdict(inventory, {"h1": runs}).problems) == 2


def _expiring(site: Promoting, last: date) -> Promoting:
    lock = site.stored.lock
    release = lock.release.model_copy(update={"expires": last})
    return replace(site, stored=replace(site.stored, lock=lock.model_copy(update={"release": release})))


def test_a_release_is_taken_on_its_last_day_and_not_after_it(site: Promoting) -> None:
    assert _expiring(site, NOW.date()).verdict(site.inventory()).problems == ()
    (line,) = _expiring(site, NOW.date() - timedelta(days=1)).verdict(site.inventory()).problems
    assert line.startswith("demo:2026.11.0: expired on 2026-11-28, expected one that is still good.")


def test_an_older_release_than_the_one_that_stands_is_refused_host_by_host(site: Promoting) -> None:
    newer, other = Stands("demo:2026.12.0", OTHER), Stands("assistant:2027.1", OTHER)
    problems = site.verdict(site.inventory(), {"h1": newer, "h2": other}).problems
    assert [line.partition(",")[0] for line in problems] == [
        "h1: has demo:2026.12.0",
    ]
    assert site.verdict(site.inventory(), {"h1": Stands("demo:2026.11.0-rc1", OTHER)}).problems == ()


def test_an_override_lets_pass_what_it_names_and_is_logged_with_its_reason(site: Promoting) -> None:
    inventory, newer = site.inventory(**{"from": ["staging"]}), {"h1": Stands("demo:2026.12.0", OTHER)}
    _override(site, Excuse.RECORD)
    (line,) = site.verdict(inventory, newer).problems
    assert line.startswith("h1: has demo:2026.12.0")
    _override(site, Excuse.OLDER, Excuse.RECORD)
    verdict = site.verdict(inventory, newer)
    assert verdict.problems == ()
    log_overrides(inventory, verdict, "rollout", NOW)
    log_overrides(inventory, verdict, "rollout", NOW)
    logged = (site.folder / "evidence" / "overrides.jsonl").read_text().splitlines()
    assert len(logged) == 2 * len(verdict.overrides)
    first = json.loads(logged[0])
    assert first["reason"] == "staging is down"
    assert first["signed_by"] == "anna@example.org"
    assert (first["used_for"], first["used_at"]) == ("rollout", "2026-11-29T20:15:00+00:00")


def test_a_statement_that_is_replaced_while_it_is_read_counts_for_no_other_bundle(
    site: Promoting, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = override_of("prod", "demo:2026.1.0", OTHER, [Excuse.OLDER], "staging is down", 1, NOW)
    site.say(said, "anna")

    def before(content: bytes, where: str) -> Statement:
        monkeypatch.undo()
        return parse_statement(content, where).model_copy(update={"bundle": site.stored.digest})

    monkeypatch.setattr(kept, "parse_statement", before)
    signers = site.folder / "signers"
    assert find_statements(site.folder / "promotions", signers, site.stored.digest).signed == ()
    assert len(find_statements(site.folder / "promotions", signers, OTHER).signed) == 1


def test_nothing_is_logged_where_nothing_was_overridden(site: Promoting) -> None:
    _override(site, Excuse.RECORD)
    log_overrides(site.inventory(), site.verdict(site.inventory()), "rollout", NOW)
    assert not (site.folder / "evidence").exists()


@pytest.mark.parametrize("late", [{"environment": "test"}, {"days": -1}])
def test_an_override_is_for_one_environment_and_a_time(late: dict[str, object], site: Promoting) -> None:
    _override(site, Excuse.RECORD, **late)  # type: ignore[arg-type]  # one of two
    assert site.verdict(site.inventory(**{"from": ["staging"]})).problems


def test_who_may_promote_may_not_override(site: Promoting) -> None:
    release = site.stored.lock.release.reference
    said = override_of("prod", release, site.stored.digest, [Excuse.RECORD], "because", 1, NOW)
    site.say(said, "stage")
    problems = site.verdict(site.inventory(**{"from": ["staging"]})).problems
    assert "the list does not allow them sealift-override" in problems[-1]


def test_a_plan_is_approved_by_as_many_people_as_the_site_says(site: Promoting) -> None:
    inventory = site.inventory(approvals=2)
    _approve(site, "anna")
    _approve(site, "anna")
    (line,) = site.verdict(inventory, plan=PLAN).problems
    assert line == (
        f"prod: has 1 of 2 approvals of the plan {PLAN} of demo:2026.11.0. Have it approved: "
        f"sealift promote approve prod --plan {PLAN} --key KEY"
    )
    _approve(site, "ben")
    verdict = site.verdict(inventory, plan=PLAN)
    assert verdict.problems == ()
    assert {each.signer for each in verdict.approvals} == {"anna@example.org", "ben@example.org"}


def test_an_approval_is_of_one_plan_in_one_environment_and_grows_old(site: Promoting) -> None:
    inventory = site.inventory(approvals=1)
    _approve(site, "ben", environment="test")
    assert site.verdict(inventory, plan=PLAN).problems
    _approve(site, "ben")
    assert site.verdict(inventory, plan=OTHER).problems
    assert site.verdict(inventory).problems, "no plan is no approved plan"
    assert site.verdict(inventory, now=NOW + timedelta(days=31), plan=PLAN).problems
    assert site.verdict(inventory, plan=PLAN).problems == ()


def test_without_a_list_of_signers_nobodys_word_counts(site: Promoting) -> None:
    site.say(site.passed(), "stage")
    problems = site.verdict(site.inventory(**{"from": ["staging"], "signers": None})).problems
    assert "promotion.signers is not set" in problems[-1]


def test_hosts_of_an_environment_have_one_setting_of_promotion(site: Promoting) -> None:
    one, other = site.inventory(), site.inventory(approvals=1)
    mixed = replace(one, hosts=(one.hosts[0], other.hosts[1]))
    with pytest.raises(SealiftError, match="hosts have different settings of promotion"):
        site.verdict(mixed)
