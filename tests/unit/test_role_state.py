"""How roles are, by what their hosts say."""

from __future__ import annotations

import pytest

from sealift.cli.status_view import data, wrong
from sealift.drift.look import Look
from sealift.fleet.role_state import RoleState, State, role_states
from sealift.fleet.status import parse_status
from tests.unit.docker_said import container, failed, listed
from tests.unit.test_status import BUDGETS, GATEWAY, OLLAMA, SAID, host

UP, SLOW = RoleState(State.UP), RoleState(State.DEGRADED, "answers in 6.2 s")
LOADING = RoleState(State.LOADING, "its model is not in memory")
STOPPED = RoleState(State.DOWN, "ollama does not run")
SHUT, RESTARTING, MISSING = (
    RoleState(State.DOWN, f"gateway is {state}") for state in ("exited", "restarting", "missing")
)
RUNS = listed(OLLAMA, GATEWAY, BUDGETS)


@pytest.mark.parametrize(
    ("old", "new", "chat", "embed"),
    [
        ("", "", SLOW, LOADING),
        ("figures_age=30", "figures_age=3000", UP, LOADING),
        ("chat:latest", "embed:latest", SLOW, UP),
        ("chat:latest", "minilm", SLOW, UP),
        ("runners 1", "runners 0", SLOW, LOADING),
        (
            "heartbeat_age=12",
            failed("embed", '{"error":"no room"}'),
            SLOW,
            RoleState(State.DOWN, "no room"),
        ),
        (listed(OLLAMA)[:-1], listed(container("sealift-ollama", "exited"))[:-1], STOPPED, STOPPED),
        (RUNS, listed(OLLAMA, container("sealift-gateway", "exited")), SHUT, SHUT),
        (RUNS, listed(OLLAMA, container("sealift-gateway", "restarting")), RESTARTING, RESTARTING),
        (RUNS, listed(OLLAMA), MISSING, MISSING),
        ("figure=", 'figure=sealift_role_up{role="embed"} 1\nfigure=', SLOW, UP),
        (
            "figure=",
            'figure=sealift_role_up{role="embed"} 0\nfigure=',
            SLOW,
            RoleState(State.DOWN, "the probe got no answer"),
        ),
    ],
)
def test_a_role_is_as_health_check_gateway_and_probe_say(
    old: str, new: str, chat: RoleState, embed: RoleState
) -> None:
    assert role_states(parse_status("h1", SAID.replace(old, new))) == {"chat": chat, "embed": embed}


def test_a_role_that_no_client_reaches_is_told_to_people_and_programs() -> None:
    found = host(SAID.replace(RUNS, listed(OLLAMA, container("sealift-gateway", "exited"))))
    assert list(wrong(found)) == [f"role {role} is down: gateway is exited" for role in ("chat", "embed")]
    down = {"state": "down", "why": "gateway is exited"}
    assert data(Look((found,), None))[0]["serves"] == {"chat": down, "embed": down}
