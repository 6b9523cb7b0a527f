"""Who gets in, and to what. Every allowed has a denied beside it."""

from __future__ import annotations

import socket

import pytest
import requests

from sealift.evidence.expectations import Expectations
from tests.hosts.gateway_client import CONNECT_S, Gateway

BLOB = f"/api/blobs/sha256:{'0' * 64}"
CLOSED = (
    ("POST", "/api/pull"),
    ("DELETE", "/api/delete"),
    ("POST", "/api/create"),
    ("POST", "/api/push"),
    ("POST", "/api/copy"),
    ("POST", BLOB),
    ("HEAD", BLOB),
)
# Ways of writing /api/pull that a server behind the gateway might understand.
DISGUISED = (
    "//api/pull",
    "/api/chat/../pull",
    "/api/./pull",
    "/api%2Fpull",
    "/api/%70ull",
    "/api/pull/",
    "/API/pull",
)


def closed(method_and_path: tuple[str, str]) -> str:
    return " ".join(method_and_path).partition(":")[0]


def test_lets_in_with_a_key(gateway: Gateway) -> None:
    """A request with a key is answered."""
    assert gateway.send("GET", "/api/version", gateway.right_key).status_code == 200


def test_lets_in_with_a_key_in_its_own_header(gateway: Gateway) -> None:
    """A request with a key in the header x-api-key is answered."""
    assert gateway.send("GET", "/api/version", gateway.right_key_in_its_own_header).status_code == 200


@pytest.mark.parametrize("path", ["/api/version", "/api/chat", "/v1/models"])
def test_refuses_without_a_key(gateway: Gateway, path: str) -> None:
    """A request without a key is refused with 401."""
    assert gateway.send("GET", path, {}).status_code == 401


def test_refuses_a_wrong_key(gateway: Gateway) -> None:
    """A request with a wrong key is refused with 401."""
    assert gateway.send("GET", "/api/version", gateway.wrong_key).status_code == 401


@pytest.mark.parametrize("request_line", CLOSED, ids=closed)
def test_models_cannot_be_changed(gateway: Gateway, request_line: tuple[str, str]) -> None:
    """A request that would change models is refused with 404, even with a key, and with 401 without one."""
    assert gateway.status_of(*request_line, gateway.right_key) == 404
    assert gateway.status_of(*request_line, {}) == 401


def test_models_cannot_be_changed_by_another_spelling(gateway: Gateway) -> None:
    """No other spelling of /api/pull gets past the gateway either."""
    statuses = {path: gateway.status_of("POST", path, gateway.right_key) for path in DISGUISED}
    assert {path: status for path, status in statuses.items() if status not in (400, 404)} == {}


def test_refuses_a_request_that_is_too_big(gateway: Gateway, expected: Expectations) -> None:
    """A request beyond the size limit is refused with 413."""
    body = {"model": "none", "prompt": "x" * (expected.gateway.max_request_mib * 2**20)}
    assert gateway.send("POST", "/api/generate", gateway.right_key, body=body).status_code == 413


def test_says_whether_it_is_healthy_without_a_key(gateway: Gateway) -> None:
    """A load balancer needs no key to ask whether the gateway and Ollama are healthy."""
    assert gateway.send("GET", "/healthz", {}).status_code == 200


def test_certificate_is_the_sites(gateway: Gateway) -> None:
    """The gateway's certificate is of the site's CA, and names the host as the inventory does."""
    gateway.connect().close()


def test_certificate_is_of_no_public_authority(gateway: Gateway) -> None:
    """A client that trusts public authorities only refuses the gateway's certificate."""
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        requests.get(f"{gateway.url}/healthz", timeout=CONNECT_S)


def test_does_not_speak_without_tls(gateway: Gateway) -> None:
    """The gateway does not answer a request that is not encrypted."""
    with socket.create_connection((gateway.address, gateway.port), CONNECT_S) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in connection.recv(1024)
