"""What was used, as Prometheus kept it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sealift.cli import usage as command
from sealift.cli.main import application
from sealift.clients.kept_usage import Kept, earlier, merged, parse_kept, questions
from sealift.clients.usage import Log, Usage
from sealift.errors import SealiftError
from sealift.site.inventory import Host, Inventory
from sealift.watch.prometheus import Answers, Series
from tests.unit.fleet_site import site_settings

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def series(value: float, **labels: str) -> Series:
    return Series(labels, ((NOW.timestamp(), value),))


def used(client: str, role: str, host: str, value: float) -> Series:
    return series(value, client=client, role=role, host=host)


ANSWERS = Answers(
    "mon",
    {
        "answers": (
            used("shop", "chat", "h1", 10.2),
            used("shop", "embed", "h2", 5),
            used("b", "chat", "h1", 1),
        ),
        "read": (used("shop", "chat", "h1", 99.6), used("shop", "embed", "h2", float("nan"))),
        "written": (used("shop", "chat", "h1", 1000), series(7, client="shop")),
        "took": (series(1234.5, client="shop"), series(float("nan"), client="b")),
        "watched": (Series({"host": "h1"}, ((NOW.timestamp() - 3600, 1), (NOW.timestamp(), 1))),),
    },
    {},
)


@pytest.mark.parametrize("value", [float("inf"), 1e308, -1e308])
def test_a_count_beyond_all_reason_is_none(value: float) -> None:
    found = {"answers": (used("shop", "chat", "h1", value), used("shop", "chat", "h2", value))}
    took = {"took": (series(value, client="shop"),), "read": (used("shop", "chat", "h1", 7),)}
    (usage,) = parse_kept(Answers("mon", {**found, **took}, {}), "client").used.values()
    assert (usage.requests, usage.tokens_in, usage.answer_ms) == (0, 7, None)


def test_what_prometheus_kept_is_summed_and_what_it_does_not_know_is_none() -> None:
    kept = parse_kept(ANSWERS, "client")
    assert kept.host == "mon"
    assert kept.begins == {"h1": NOW - timedelta(hours=1)}
    assert list(kept.used) == ["b", "shop"]
    assert kept.used["shop"] == Usage(
        requests=15,
        refused=None,
        unknown=None,
        tokens_in=100,
        tokens_out=1000,
        first_token_ms=None,
        answer_ms=1234,
        tokens_per_second=None,
        load_ms=None,
        source="prometheus",
    )
    assert kept.used["b"].answer_ms is None
    assert {name: each.requests for name, each in parse_kept(ANSWERS, "role").used.items()} == {
        "chat": 11,
        "embed": 5,
    }


def test_only_the_hosts_that_are_meant_are_asked_about() -> None:
    asked = questions(("h1", 'a.b"'), (1000, 87400), "role")
    assert 'host=~"h1|a\\\\.b\\""' in asked["read"].expression
    assert "[86400s]" in asked["read"].expression
    assert "sum by (le, role)" in asked["took"].expression


def test_each_host_is_asked_about_up_to_where_its_log_begins() -> None:
    begins = {"h1": NOW - DAY, "h2": None, "h3": NOW - 90 * DAY, "h4": NOW - DAY}
    assert earlier(begins, NOW - 30 * DAY, NOW) == {NOW - DAY: ["h1", "h4"], NOW: ["h2"]}


LOGGED = Usage(
    requests=3,
    refused=1,
    unknown=1,
    tokens_in=10,
    tokens_out=20,
    first_token_ms=5,
    answer_ms=50,
    tokens_per_second=4.0,
    load_ms=7,
    source="logs",
)


def test_what_both_know_adds_up_and_the_rest_is_the_logs() -> None:
    before = parse_kept(ANSWERS, "client").used
    found = merged(before, {"shop": LOGGED, "a": LOGGED})
    both = replace(LOGGED, requests=18, tokens_in=110, tokens_out=1020, source="both")
    assert found == {"a": LOGGED, "b": before["b"], "shop": both}
    silent = merged(before, {"shop": replace(LOGGED, answer_ms=None)})
    assert silent["shop"].answer_ms == 1234


HOSTS = tuple(
    Host(name, frozenset(groups), site_settings())
    for name, groups in (("h1", ()), ("h2", ()), ("mon", ("monitor",)))
)
SITE = Inventory("prod", Path("prod.py"), HOSTS[:2], HOSTS)


def run(
    patch: pytest.MonkeyPatch, logs: dict[str, datetime | None], kept: Kept | SealiftError, *more: str
) -> str:
    def ask(*_: object) -> Kept:
        if isinstance(kept, SealiftError):
            raise kept
        return kept

    patch.setattr(command, "load_inventory", lambda _: SITE)
    patch.setattr(Inventory, "limited", lambda *_: SITE)
    patch.setattr(command, "read_logs", lambda *_: {host: Log((), begins) for host, begins in logs.items()})
    patch.setattr(command, "kept_usage", ask)
    ran = CliRunner().invoke(application("usage"), ["usage", "prod", "--since", "30d", *more])
    assert ran.exit_code == 0, ran.output
    return ran.output


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def kept(**begins: datetime) -> Kept:
    return Kept("mon", begins, parse_kept(ANSWERS, "client").used)


def test_the_logs_are_enough_where_they_go_back_that_far(monkeypatch: pytest.MonkeyPatch) -> None:
    told = run(monkeypatch, {"h1": ago(31), "h2": ago(40)}, kept(h1=ago(90), h2=ago(90)))
    assert "Out of the gateways' logs" in told and "shop" not in told and "counted" not in told


def test_prometheus_is_asked_for_the_time_before_the_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    told = run(monkeypatch, {"h1": ago(2), "h2": ago(40)}, kept(h1=ago(30.1)))
    assert "Out of the gateways' logs; before them, Prometheus on mon" in told and "shop" in told
    assert "h1:" not in told and "h2:" not in told
    assert "h1: known since" in run(monkeypatch, {"h1": ago(2), "h2": ago(40)}, kept(h1=ago(20)))


def test_the_logs_count_where_prometheus_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = SealiftError("mon: Prometheus does not run there")
    told = run(monkeypatch, {"h1": ago(5), "h2": None}, silent)
    assert "Out of the gateways' logs" in told and "Prometheus on" not in told
    assert "h1: known since" in told
    assert "h2: nothing is known of its requests" in told
    assert "mon: Prometheus does not run there" in told


def test_a_program_is_told_the_source_too(monkeypatch: pytest.MonkeyPatch) -> None:
    logs: dict[str, datetime | None] = {"h1": ago(2), "h2": ago(31)}
    told = run(monkeypatch, logs, kept(h1=ago(31)), "--json")
    assert json.loads(told)["shop"]["source"] == "prometheus"
    table = run(monkeypatch, logs, kept(h1=ago(31)), "--csv").splitlines()
    assert table[0].endswith(",load_ms,source")
    assert table[2] == "shop,15,,,100,1000,,1234,,,prometheus"
