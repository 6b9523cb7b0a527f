"""Every call that is open, with every kind of key: its status, in the form of the API that was asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sealift.host.routes import Route, routes_of
from sealift.site.secrets import Secrets
from tests.peers import gateway
from tests.peers.fleet import front_door
from tests.peers.gateway import NEWEST, ROLE, Gateway, keys_of, lock_of, message_of

_TODAY = datetime.now(UTC).date()
_SECRETS = Secrets.model_construct(
    api_keys={
        "right": keys_of("right"),
        "ends-today": keys_of("ends-today", expires=_TODAY),
        "expired": keys_of("expired", expires=_TODAY - timedelta(days=1)),
        "other-role": keys_of("other-role", roles=("embed",)),
    }
)
# Who asks, and the status of a call without a body and of one for a role.
KEYS: dict[str | None, tuple[int, int]] = {
    None: (401, 401),
    "wrong": (401, 401),
    "revoked": (401, 401),
    "expired": (401, 401),
    "ends-today": (200, 200),
    "other-role": (200, 403),
    "right": (200, 200),
}


@pytest.fixture(scope="module", params=["gateway", "front door"])
def running(
    envoy_program: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    if request.param == "gateway":
        lock = lock_of(NEWEST)
        with gateway.serving(
            envoy_program, folder, lock, secrets=_SECRETS, requests_per_minute=60000
        ) as found:
            yield found
    else:
        with front_door(envoy_program, folder, {"h1": (ROLE,)}, secrets=_SECRETS) as door:
            yield replace(door.asked, calls=door.hosts["h1"].calls)


@pytest.mark.parametrize("client", KEYS)
@pytest.mark.parametrize("route", routes_of(NEWEST), ids=lambda route: f"{route.method} {route.path}")
def test_a_call_with_a_key(running: Gateway, route: Route, client: str | None) -> None:
    path = route.path.replace("{name}", "chat")
    asks_a_role = route.method == "POST"
    forged = {"x-sealift-client": "right"}  # which helps nobody
    before = len(running.calls)
    body = {"model": "chat"} if asks_a_role else None
    answer = running.ask(route.method, path, client, json=body, headers=forged)
    named = client == "other-role" and path == "/v1/models/chat"
    assert answer.status_code == (404 if named else KEYS[client][asks_a_role])
    assert len(running.calls) - before == (answer.status_code == 200)
    if answer.status_code != 200 and route.method != "HEAD":
        message_of(answer, path, param="model" if answer.status_code in (403, 404) else None)


@pytest.mark.parametrize("client", KEYS)
@pytest.mark.parametrize(
    "path", ["/api/pull", "/api/push", "/api/create", "/api/copy", "/api/blobs/sha256:0"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
def test_models_are_changed_by_nobody(running: Gateway, method: str, path: str, client: str | None) -> None:
    before = len(running.calls)
    answer = running.ask(method, path, client, json={"model": "chat"})
    assert answer.status_code == (401 if KEYS[client][0] == 401 else 404)
    assert len(running.calls) == before
