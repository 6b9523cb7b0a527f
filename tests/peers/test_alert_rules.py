"""Every alert fires for its cause and for nothing else, and clears: the demo's promtool judges it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from sealift.host.alert_settings import AlertSettings
from tests.peers.alert_cases import CASES, Case, Firing
from tests.peers.fleet_well import DAY, WELL, WRONG, Values, gauge
from tests.unit.rules import PROBED, render_rules
from tests.watch_tools import program

ALL = 'ALERTS{alertstate="firing", alertname!="Watchdog"}'


@pytest.fixture(scope="module")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program("prometheus", "promtool", tmp_path_factory.mktemp("promtool"))


@pytest.fixture(scope="module")
def alerts() -> dict[str, dict[str, Any]]:
    """The rules, by the alert's name."""
    groups = yaml.safe_load(render_rules()["alerts.yml"])["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def _tested(
    promtool: Path,
    folder: Path,
    tests: list[dict[str, Any]],
    minutes: int = 1,
    memory_gib: float | None = None,
) -> None:
    for name, content in render_rules(AlertSettings(memory_gib=memory_gib)).items():
        (folder / name).write_bytes(content)
    written = {
        "rule_files": sorted(render_rules()),
        "evaluation_interval": f"{minutes}m",
        "group_eval_order": ["objectives", "budgets"],  # else by chance, and one reads what the other records
        "tests": [{"interval": "1m", **each} for each in tests],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(written))
    ran = subprocess.run(
        [promtool, "test", "rules", folder / "test.yml"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _series(values: Mapping[str, Values], minutes: int) -> list[dict[str, str]]:
    return [
        {"series": series, "values": " ".join(_written(of(minute)) for minute in range(minutes))}
        for series, of in values.items()
    ]


def _written(value: float | None) -> str:
    return "_" if value is None else f"{value:.10g}"


def _sample(firing: Firing, alerts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    labels = {
        "alertname": firing.alert,
        "alertstate": "firing",
        **alerts[firing.alert]["labels"],
        **firing.labels,
    }
    shown = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    return {"labels": f"ALERTS{{{shown}}}", "value": 1}


def _expected(firing: Firing, alerts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    rule = alerts[firing.alert]
    annotations = {**rule["annotations"], "summary": firing.summary}
    return {"exp_labels": {**rule["labels"], **firing.labels}, "exp_annotations": annotations}


def _test(case: Case, alerts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    now = [_sample(firing, alerts) for firing in case.firing]
    return {
        "input_series": _series({**WELL, **case.series}, max(case.over, case.at) + 1),
        "promql_expr_test": [
            {"expr": ALL, "eval_time": f"{minute}m", "exp_samples": now if minute == case.at else []}
            for minute in (8, case.quiet, case.at, case.over)
        ],
        "alert_rule_test": [
            {
                "eval_time": f"{case.at}m",
                "alertname": firing.alert,
                "exp_alerts": [_expected(firing, alerts)],
            }
            for firing in case.firing
            if firing.summary
        ],
    }


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_for_its_cause_alone_and_clears(
    name: str, promtool: Path, alerts: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    _tested(promtool, tmp_path, [_test(CASES[name], alerts)])


def test_every_alert_has_a_case(alerts: dict[str, dict[str, Any]]) -> None:
    shown = {firing.alert for name, case in CASES.items() for firing in case.firing if firing.summary}
    assert shown == set(CASES)
    assert set(CASES) | {"Watchdog"} == set(alerts)


def test_a_case_that_does_not_hold_is_found(
    promtool: Path, alerts: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    right = CASES["RoleDown"]
    wrong = Case({}, right.firing)
    with pytest.raises(AssertionError, match="RoleDown"):
        _tested(promtool, tmp_path, [_test(wrong, alerts)])


def test_a_watchdog_barks_until_prometheus_sees_nothing(
    promtool: Path, alerts: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    barking = 'ALERTS{alertname="Watchdog", alertstate="firing"}'
    one = {
        "labels": 'ALERTS{alertname="Watchdog", alertstate="firing", host="h1", severity="none"}',
        "value": 1,
    }
    blind = {series: gauge(1, None) for series in WELL}
    test = {
        "input_series": _series({**WELL, **blind}, 40),
        "promql_expr_test": [
            {"expr": barking, "eval_time": f"{minute}m", "exp_samples": samples}
            for minute, samples in ((1, [one]), (9, [one]), (16, []), (35, [one]))
        ],
    }
    _tested(promtool, tmp_path, [test])


def test_hosts_whose_probe_never_wrote_are_told(promtool: Path, tmp_path: Path) -> None:
    never = 'sealift_probe_last_run_timestamp_seconds{host="h2"}'
    silent = 'ALERTS{alertname="ProbeSilent", alertstate="firing", host="h2", severity="critical"}'
    other = 'up{host="h3",job="node"}'  # a host that serves no role
    test = {
        "input_series": _series({**WELL, never: gauge(None, None), other: gauge(1, 1)}, 40),
        "promql_expr_test": [
            {"expr": f'{ALL[:-1]}, alertname="ProbeSilent"}}', "eval_time": "3m", "exp_samples": []},
            {"expr": ALL, "eval_time": "30m", "exp_samples": [{"labels": silent, "value": 1}]},
        ],
    }
    assert set(PROBED) == {"h1", "h2"}
    _tested(promtool, tmp_path, [test])


ANSWER = 'envoy_usage_answer_bucket{host="h2",job="gateway",client="app",role="chat"'
USES, MAY_USE = ("sealift_runtime_memory" + end for end in ('_bytes{host="h2"}', '_limit_bytes{host="h2"}'))
QUIET: dict[str, dict[str, Values]] = {
    "two long answers at night": {
        **{f'{ANSWER},le="{le}"}}': gauge(0, 0) for le in ("5000", "10000", "30000")},
        f'{ANSWER},le="+Inf"}}': lambda minute: min(max(minute - WRONG[0], 0), 2),
    },
    "20 of 64 GiB": {USES: gauge(2**31, 20 * 2**30), MAY_USE: gauge(2**36, 2**36)},
}


@pytest.mark.parametrize("name", QUIET)
def test_what_is_nothing_to_look_after_is_not_told(name: str, promtool: Path, tmp_path: Path) -> None:
    test = {
        "input_series": _series({**WELL, **QUIET[name]}, 40),
        "promql_expr_test": [
            {"expr": ALL, "eval_time": f"{minute}m", "exp_samples": []} for minute in (15, 20, 25, 29, 35)
        ],
    }
    _tested(promtool, tmp_path, [test])


@pytest.mark.parametrize(("limit", "memory_gib"), [(0, None), (2**36, 8.5)])
def test_where_no_limit_of_memory_is_known_or_less_is_set_that_counts(
    limit: int, memory_gib: float | None, promtool: Path, tmp_path: Path
) -> None:
    high = 'ALERTS{alertname="MemoryHigh", alertstate="firing", host="h2", severity="warning"}'
    test = {
        "input_series": _series({**WELL, USES: gauge(2**31, 9 * 2**30), MAY_USE: gauge(limit, limit)}, 40),
        "promql_expr_test": [
            {"expr": ALL, "eval_time": "25m", "exp_samples": [{"labels": high, "value": 1}]}
        ],
    }
    _tested(promtool, tmp_path, [test], memory_gib=memory_gib)


def test_the_certificate_by_which_figures_are_read_is_watched_too(
    promtool: Path, alerts: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    ends = 'sealift_fleet_certificate_expiry_timestamp_seconds{host="h1",certificate="monitor"}'
    firing = Firing(
        "CertificateExpiring",
        {"host": "h1", "certificate": "monitor"},
        "h1: the site's certificate monitor has 13d 0h 0m 0s left.",
    )
    case = Case({ends: gauge(400 * DAY, 13 * DAY + 25 * 60)}, [firing])
    _tested(promtool, tmp_path, [_test(case, alerts)])


OF_H2 = 'host="h2",role="chat"'
BREAKING: dict[str, tuple[dict[str, Values], set[str]]] = {
    "slow": ({f"sealift_role_answer_seconds{{{OF_H2}}}": gauge(1, 4)}, {"answer"}),
    "slow to begin": ({f"sealift_role_first_token_seconds{{{OF_H2}}}": gauge(1, 4)}, {"first_token"}),
    "few tokens": ({f"sealift_role_tokens_per_second{{{OF_H2}}}": gauge(20, 4)}, {"tokens_per_second"}),
    "much memory": ({'sealift_runtime_memory_bytes{host="h2"}': gauge(1e9, 17e9)}, {"memory"}),
    "down": (
        {
            f"sealift_role_up{{{OF_H2}}}": gauge(1, 0),
            f"sealift_role_answer_seconds{{{OF_H2}}}": gauge(1, None),
            f"sealift_role_first_token_seconds{{{OF_H2}}}": gauge(1, None),
        },
        {"answer", "first_token", "tokens_per_second"},
    ),
    "failing": (
        {
            f'sealift_probe_requests_total{{{OF_H2},outcome="ok"}}': lambda minute: min(minute, WRONG[0]),
            f'sealift_probe_requests_total{{{OF_H2},outcome="failed"}}': lambda minute: max(
                minute - WRONG[0], 0
            ),
        },
        {"success"},
    ),
    "full": (
        {
            f'sealift_probe_requests_total{{{OF_H2},outcome="ok"}}': lambda minute: min(minute, WRONG[0]),
            f'sealift_probe_requests_total{{{OF_H2},outcome="refused"}}': lambda minute: max(
                minute - WRONG[0], 0
            ),
        },
        set(),
    ),
}


@pytest.mark.parametrize("name", BREAKING)
def test_an_objective_is_broken_by_what_breaks_it(name: str, promtool: Path, tmp_path: Path) -> None:
    series, broken = BREAKING[name]
    kept = 'sealift:objective_kept{host="h2"}'

    def samples(broken: set[str]) -> list[dict[str, Any]]:
        return [
            {
                "labels": f'sealift:objective_kept{{host="h2", objective="{objective}", role="chat"}}',
                "value": 0 if objective in broken else 1,
            }
            for objective in ("answer", "first_token", "memory", "success", "tokens_per_second")
        ]

    test = {
        "input_series": _series({**WELL, **series}, 40),
        "promql_expr_test": [
            {"expr": kept, "eval_time": "9m", "exp_samples": samples(set())},
            {"expr": kept, "eval_time": "28m", "exp_samples": samples(broken)},
        ],
    }
    _tested(promtool, tmp_path, [test])


def test_a_host_that_refused_everything_broke_nothing(promtool: Path, tmp_path: Path) -> None:
    asked = f"sealift_probe_requests_total{{{OF_H2},outcome"
    refusing = {f'{asked}="ok"}}': gauge(5, 5), f'{asked}="refused"}}': lambda minute: float(minute)}
    four = {"eval_time": "90m", "exp_samples": [{"labels": "{}", "value": 4}]}
    kept = 'sealift:objective_kept{host="h2"}'
    test = {
        "input_series": _series({**WELL, **refusing}, 100),
        "promql_expr_test": [{"expr": f"{of}({kept})", **four} for of in ("count", "sum")],
    }
    _tested(promtool, tmp_path, [test])


def test_the_error_budget_is_the_time_that_an_objective_may_be_broken(promtool: Path, tmp_path: Path) -> None:
    series, _ = BREAKING["slow"]
    of = 'host="h2", objective="answer", role="chat"'
    allowed = 30 * 24 * 60 * (100 - AlertSettings().kept_percent) / 100  # minutes
    test = {
        "input_series": _series({**WELL, **series}, 60),
        "promql_expr_test": [
            {
                "expr": f"round({name}{{{of}}}, 0.0001)",
                "eval_time": "50m",
                "exp_samples": [{"labels": f"{{{of}}}", "value": round(value, 4)}],
            }
            for name, value in (
                ("sealift:objective_kept:avg30d", 1 - 10 / 26),
                ("sealift:objective_budget_left", 1 - len(WRONG) / allowed),
            )
        ],
    }
    _tested(promtool, tmp_path, [test], minutes=2)
