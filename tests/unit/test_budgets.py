"""What hosts say of budgets, and what the command makes of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from sealift.clients.budgets import Spent, parse_sums, spent
from sealift.drift.service_checks import service_checks
from sealift.errors import SealiftError
from sealift.facts.files import Standing
from sealift.host.client_limits import ClientLimits
from sealift.host_paths import BUDGETS
from sealift.site.secrets import ClientKeys
from tests.unit.fleet_site import wanted
from tests.unit.test_budget_keeper import START, TOLD, Host, good, host
from tests.unit.test_generation import rendered, service

__all__ = ["host"]
WRITABLE = {"gateway": {"/budgets/answers"}, "budgets": {"/budgets/answers", "/budgets/sums"}}
MIDNIGHT, DECEMBER = datetime(2026, 11, 29, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def test_used_and_left_are_told_by_client_host_and_period(host: Host) -> None:
    good(host.counts(host.logs(TOLD), host.logs(TOLD.replace("alice", "bob"))))
    sums = {"h1": parse_sums("h1", f"{START + 3}\n{host.used.read_text()}")}
    keys = (SecretStr("k" * 24),)
    clients = {
        "alice": ClientKeys(keys=keys, tokens_per_minute=300, tokens_per_day=1000, tokens_per_month=5000),
        "bob": ClientKeys(keys=keys),
        "carol": ClientKeys(keys=keys, tokens_per_day=7),
    }
    assert spent(clients, sums) == (
        Spent("alice", "h1", "minute", 285, 300, datetime.fromtimestamp(START // 60 * 60 + 60, UTC)),
        Spent("alice", "h1", "day", 285, 1000, MIDNIGHT),
        Spent("alice", "h1", "month", 285, 5000, DECEMBER),
        Spent("carol", "h1", "day", 0, 7, MIDNIGHT),
    )


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (f"{START}\n", "does not say what clients used"),
        ("", "does not say what clients used"),
        (f"{START}\nnow {START}\nminute 1\nday 2026-11-28 1\nmonth 2026-11 1\nalice 1 1 1\n", "does not say"),
        (
            f"{START + 60}\nnow {START}\nminute 1\nday 2026-11-28 1\nmonth 2026-11 1\nend\n",
            "does not count tokens now",
        ),
        (
            f"{START}\nnow {START}\nminute 1\nday 2026-11-28 {'9' * 16}\nmonth 2026-11 1\nend\n",
            "does not count",
        ),
    ],
)
def test_a_host_that_does_not_count_is_an_error(said: str, why: str) -> None:
    with pytest.raises(SealiftError, match=f"^h1: {why}"):
        parse_sums("h1", said)


@pytest.mark.parametrize("name", WRITABLE)
def test_each_container_writes_to_its_part_alone(name: str) -> None:
    volumes = service(rendered(), name)["volumes"]
    assert {each["target"] for each in volumes if not each["read_only"]} == WRITABLE[name]
    kept = {each["source"] for each in volumes if "budgets" in each["target"]}
    assert kept == {f"{BUDGETS}/answers", f"{BUDGETS}/sums"}


def test_the_keeper_has_no_network() -> None:
    keeper = service(rendered(), "budgets")
    assert keeper["network_mode"] == "none" and "networks" not in keeper
    assert keeper["image"] == service(rendered(), "gateway")["image"]


def test_a_folder_that_is_missing_is_told() -> None:
    found = [check for check in service_checks(wanted()) if check.arguments.get("path") == f"{BUDGETS}/sums"]
    assert [list(check.judge(None)) for check in found] == [[f"folder {BUDGETS}/sums missing"]]
    assert [list(check.judge(Standing("d", "0:0", "700", ""))) for check in found] == [[]]


def test_a_budget_restarts_nothing_and_changes_one_live_file() -> None:
    one, other = rendered(), rendered(limits={"billing": ClientLimits(tokens_per_day=5000)})
    assert one.specs == other.specs
    assert {path for path in one.files if one.files[path] != other.files[path]} == {
        "gateway/live/budget.yaml"
    }
