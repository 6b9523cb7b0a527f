"""Who gets in, and to what. Every allowed has a denied beside it."""

from __future__ import annotations

import socket

import pytest
import requests

from sealift.evidence.expectations import Expectations
from sealift.host.routes import NAME, routes_of
from sealift.services import OLLAMA
from tests.hosts.gateway_client import CONNECT_S, Gateway, refusal

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


@pytest.mark.on("a client for acceptance")
def test_knows_every_client_by_its_own_key(gateway: Gateway) -> None:
    """A second client's key is known, and a key made of two clients' keys is refused with 401."""
    assert gateway.send("GET", "/api/version", gateway.acceptance_key).status_code in (200, 429)
    one, other = (headers["Authorization"] for headers in (gateway.right_key, gateway.acceptance_key))
    mixed = {"Authorization": one[: len(one) // 2] + other[len(other) // 2 :]}
    assert gateway.send("GET", "/api/version", mixed).status_code == 401


@pytest.mark.on("a client for acceptance")
@pytest.mark.at_the_end
def test_a_client_beyond_its_limit_waits_and_no_other(gateway: Gateway, expected: Expectations) -> None:
    """A client beyond its limit gets 429 and when to ask again, whatever its name; others are answered."""
    statuses = set()
    for number in range(2 * expected.gateway.requests_per_minute + 1):  # a new minute may begin meanwhile
        forged = {"x-sealift-client": f"somebody-{number}"}
        answer = gateway.send("GET", "/api/version", {**gateway.acceptance_key, **forged})
        statuses.add(answer.status_code)
        if 429 in statuses:
            break
    assert 429 in statuses and statuses <= {200, 429}
    assert "asked too often" in refusal(answer) and 1 <= int(answer.headers["retry-after"]) <= 60
    assert gateway.send("GET", "/api/version", gateway.right_key).status_code == 200


def test_lets_through_every_call_of_its_ollama(gateway: Gateway, expected: Expectations) -> None:
    """Every call that the release's Ollama answers about its models reaches it."""
    closed, body = [], {"model": min(expected.roles, default="no-such-model")}
    for route in routes_of(expected.services[OLLAMA.name].image):
        path = route.path.replace(NAME, "no-such-model")
        sent = body if route.method == "POST" else None
        answer = gateway.send(route.method, path, gateway.right_key, body=sent)
        if "no such call here" in answer.text or (route.method == "HEAD" and answer.status_code != 200):
            closed.append(f"{route.method} {path}: {answer.status_code}")
    assert closed == []


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("HEAD", "/"), ("GET", "/v1/models")])
def test_answers_what_clients_ask_first(gateway: Gateway, method: str, path: str) -> None:
    """What client libraries ask before anything else is answered, and refused with 401 without a key."""
    assert gateway.send(method, path, gateway.right_key).status_code == 200
    assert gateway.send(method, path, {}).status_code == 401


def test_tells_about_one_model(gateway: Gateway, role: str) -> None:
    """An OpenAI client learns about the role as a model; another path below that is refused with 404."""
    assert gateway.send("GET", f"/v1/models/{role}", gateway.right_key).status_code == 200
    assert gateway.status_of("GET", f"/v1/models/{role}/files", gateway.right_key) == 404


def test_takes_the_older_call_for_embeddings(gateway: Gateway, role: str) -> None:
    """The older call for embeddings reaches the runtime, and is refused with 401 without a key."""
    body = {"model": role, "prompt": "x"}
    assert gateway.send("POST", "/api/embeddings", gateway.right_key, body=body).status_code != 404
    assert gateway.send("POST", "/api/embeddings", {}, body=body).status_code == 401


@pytest.mark.parametrize("request_line", CLOSED, ids=closed)
def test_models_cannot_be_changed(gateway: Gateway, request_line: tuple[str, str]) -> None:
    """A request that would change models is refused with 404, even with a key, and with 401 without one."""
    assert gateway.status_of(*request_line, gateway.right_key) == 404
    assert gateway.status_of(*request_line, {}) == 401


@pytest.mark.parametrize("path", ["/api/pull", "/v1/files"])
def test_names_the_call_that_it_does_not_let_through(gateway: Gateway, path: str) -> None:
    """A call that is closed is named in the refusal, in the form of the API that was asked."""
    answer = gateway.send("POST", path, gateway.right_key, body={})
    assert answer.status_code == 404
    assert refusal(answer).startswith(f"POST {path}: no such call here.")


def test_models_cannot_be_changed_by_another_spelling(gateway: Gateway) -> None:
    """No other spelling of /api/pull gets past the gateway either."""
    statuses = {path: gateway.status_of("POST", path, gateway.right_key) for path in DISGUISED}
    assert {path: status for path, status in statuses.items() if status not in (400, 404)} == {}


def test_refuses_a_request_that_is_too_big(gateway: Gateway, expected: Expectations) -> None:
    """A request beyond the size limit is refused with 413, which says the limit."""
    body = {"model": "none", "prompt": "x" * (expected.gateway.max_request_mib * 2**20)}
    answer = gateway.send("POST", "/api/generate", gateway.right_key, body=body)
    assert answer.status_code == 413
    assert f"{expected.gateway.max_request_mib} MiB at most" in refusal(answer)


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
