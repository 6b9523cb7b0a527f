"""The front door of a host: it lets in whom gateways let in, and asks the hosts behind it."""

from __future__ import annotations

import pytest

from sealift.evidence.expectations import Expectations
from tests.hosts.gateway_client import Gateway

pytestmark = pytest.mark.on("front")


def test_front_door_lets_in_with_a_key(front_door: Gateway) -> None:
    """A request to the front door with a key is answered by a host."""
    assert front_door.send("GET", "/api/version", front_door.right_key).status_code == 200


def test_front_door_knows_every_role(front_door: Gateway, role: str) -> None:
    """The front door finds a host that serves the role, and refuses another with 403."""
    for model, status in ((role, 200), ("no-such-role", 403)):
        answer = front_door.send("POST", "/api/show", front_door.right_key, body={"model": model})
        assert answer.status_code == status, answer.text


def test_front_door_changes_no_models(front_door: Gateway) -> None:
    """A request to the front door that would change models is refused with 404."""
    assert front_door.status_of("POST", "/api/pull", front_door.right_key) == 404


def test_front_door_says_whether_it_is_healthy(front_door: Gateway) -> None:
    """Whoever moves the address to another front door needs no key to ask whether this one has a host."""
    assert front_door.send("GET", "/healthz", {}).status_code == 200


def test_front_door_certificate_has_its_names(front_door: Gateway, expected: Expectations) -> None:
    """The front door's certificate is of the site's CA, for every name that applications ask."""
    for name in (expected.host, *expected.front.names):
        front_door.connect(name).close()
