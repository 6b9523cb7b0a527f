"""Which services Docker's rules let nobody in to, by what hosts say."""

from __future__ import annotations

from typing import Any

import pytest

from sealift.drift.asking import differences, questions, script
from sealift.drift.service_checks import service_checks
from sealift.facts.docker import RulesAndRunning
from tests.unit.docker_said import container, listed
from tests.unit.fleet_site import wanted

CHECK = next(check for check in service_checks(wanted()) if check.fact is RulesAndRunning)
RUNS = container("sealift-gateway", "running", "healthy", labels={"note": "--dport 8443 "})
SHUT = ("service gateway is shut off by the firewall",)
NONE, OTHER = "-N DOCKER", "-A DOCKER -p tcp --dport 9999 -j ACCEPT"
OPEN = "-A DOCKER -d 172.18.0.2/32 ! -i br-1 -o br-1 -p tcp -m tcp --dport 8443 -j ACCEPT"


def told(*rules: str, gateway: dict[str, Any] | None = None) -> tuple[str, ...]:
    answer = (*rules, listed(gateway) if gateway else listed())
    return differences((CHECK,), "\n".join(("sealift-fact=0", *answer, "sealift-fact=end")))


def test_a_service_that_runs_without_a_rule_is_shut_off() -> None:
    assert told(NONE, gateway=RUNS) == told(NONE, OTHER, gateway=RUNS) == SHUT
    assert told(NONE, OPEN, gateway=RUNS) == ()


def test_a_host_without_rules_shuts_nobody_off() -> None:
    assert told(gateway=RUNS) == ()


@pytest.mark.parametrize("state", ["exited", "created", "restarting"])
def test_a_service_that_does_not_run_has_no_rule_and_is_not_shut_off(state: str) -> None:
    assert told(NONE, gateway=container("sealift-gateway", state)) == told(NONE) == ()


def test_rules_and_containers_are_asked_for() -> None:
    assert "iptables -w -S DOCKER" in script((CHECK,)) and questions((CHECK,)) == ("containers",)


def test_a_host_that_says_nothing_of_it_has_neither() -> None:
    assert RulesAndRunning().default() == ([], frozenset())
