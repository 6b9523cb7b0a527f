"""Every call that is open, with every kind of key."""

from __future__ import annotations

import pytest

from sealift.evidence.expectations import Expectations
from sealift.host.routes import NAME, Route, routes_of
from sealift.services import OLLAMA
from tests.hosts.gateway_client import Gateway, refusal


def calls(expected: Expectations) -> tuple[tuple[Route, str, object], ...]:
    """Each with its path, and a body that asks for a role."""
    role = min(expected.roles, default="no-role")
    body = {"model": role}
    return tuple(
        (route, route.path.replace(NAME, role), body if route.method == "POST" else None)
        for route in routes_of(expected.services[OLLAMA.name].image)
    )


@pytest.fixture(params=["gateway", pytest.param("front_door", marks=pytest.mark.on("front"))])
def asked(request: pytest.FixtureRequest) -> Gateway:
    """The host's gateway, and its front door where it has one."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Gateway)
    return found


@pytest.mark.parametrize("key", ["none", "wrong"])
def test_no_call_without_a_key_that_holds(asked: Gateway, expected: Expectations, key: str) -> None:
    """Every call is refused with 401 to who has this key, whatever client a header names."""
    headers = {"x-sealift-client": "first", **({} if key == "none" else asked.wrong_key)}
    found = {}
    for route, path, body in calls(expected):
        answer = asked.send(route.method, path, headers, body=body)
        found[f"{route.method} {path}"] = answer.status_code
        if route.method != "HEAD":
            assert "x-api-key: KEY" in refusal(answer)
    assert {call: status for call, status in found.items() if status != 401} == {}


@pytest.mark.on("a client without a role")
def test_no_role_for_a_client_that_may_not_ask_for_it(asked: Gateway, expected: Expectations) -> None:
    """Every call that asks for a role is refused with 403 to a client that has none."""
    found = {
        path: asked.send(route.method, path, asked.acceptance_key, body=body).status_code
        for route, path, body in calls(expected)
        if route.method == "POST"
    }
    assert {path: status for path, status in found.items() if status != 403} == {}
