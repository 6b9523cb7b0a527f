"""Which test really causes each alert, and sees it fire and clear."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.unit.rules import render_rules

ROOT = Path(__file__).parents[2]
LAB, ALONE = "tests/lab/test_alerts.py", "tests/peers/test_prometheus.py"
# On hosts of a lab, told by their Alertmanager; or by a Prometheus alone, where it would take a lab days.
CAUSED: dict[tuple[str, str], frozenset[str]] = {
    (LAB, "test_what_goes_wrong_is_told_and_that_it_is_right_again"): frozenset(
        {
            *("RoleDown", "ModelMissing", "SuccessLow", "HostDown", "MetricsFileBroken"),
            *("KeyExpiring", "Drift", "StatusOld", "BackupOld", "NobodyTold"),
        }
    ),
    # The lab has no GPU: figures of GpuLost and ModelOnCpu are written by hand, into the file of a host.
    (LAB, "test_what_goes_wrong_more_seldom_is_told"): frozenset(
        {
            *("GpuLost", "ModelOnCpu", "TargetDown", "ProbeSilent"),
            *("HostUnreachable", "BlobsDamaged", "AlertsNotSent"),
        }
    ),
    # By thresholds that no figure meets.
    (LAB, "test_figures_that_miss_their_thresholds_are_told_and_that_they_meet_them_again"): frozenset(
        {
            *("RoleDegraded", "AnswersSlow", "TokensSlow", "MemoryHigh", "ObjectiveBudgetSpent"),
            *("DiskLow", "CertificateExpiring", "ClockOff"),
        }
    ),
    (ALONE, "test_a_full_disk_ends_the_signs_of_life_and_room_brings_them_back"): frozenset(
        {"Watchdog", "PrometheusFailing"}
    ),
    (ALONE, "test_figures_that_go_before_their_time_for_lack_of_room_are_told"): frozenset(
        {"PrometheusForgets"}
    ),
    (ALONE, "test_a_disk_that_fills_is_told_before_it_is_full"): frozenset({"DiskFilling"}),
}


@cache
def _parsed(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def _named(path: str, test: str) -> set[str]:
    """All texts of a test, and of what it uses of its module's own."""
    own: dict[str, ast.stmt] = dict(_own(_parsed(path)))
    used = {node.id for node in ast.walk(own[test]) if isinstance(node, ast.Name)}
    parts = [own[test], *(own[name] for name in used & own.keys())]
    return {
        node.value
        for part in parts
        for node in ast.walk(part)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _own(module: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    for part in module.body:
        match part:
            case ast.FunctionDef():
                yield part.name, part
            case ast.Assign(targets=[ast.Name(name)]) | ast.AnnAssign(target=ast.Name(name)):
                yield name, part


def test_every_alert_is_caused_by_one_test() -> None:
    rules = yaml.safe_load(render_rules()["alerts.yml"])["groups"]
    alerts = sorted(rule["alert"] for group in rules for rule in group["rules"])
    caused = [alert for those in CAUSED.values() for alert in those]
    assert sorted(caused) == alerts


@pytest.mark.parametrize(("path", "test"), CAUSED)
def test_the_test_names_what_it_causes(path: str, test: str) -> None:
    assert CAUSED[path, test] - _named(path, test) == set()
