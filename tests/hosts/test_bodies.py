"""What a request's body may ask."""

from __future__ import annotations

import pytest

from sealift.evidence.expectations import Expectations
from tests.hosts.gateway_client import Gateway, refusal


def test_refuses_more_context_than_there_is(gateway: Gateway, role: str) -> None:
    """A request for more context than the role's model is loaded with is refused with 400."""
    body = {"model": role, "options": {"num_ctx": 999_999_999}}
    answer = gateway.send("POST", "/api/generate", gateway.right_key, body=body)
    assert answer.status_code == 400
    assert refusal(answer).startswith("options.num_ctx: 999999999 is more than")


def test_no_client_unloads_a_model(gateway: Gateway, role: str, expected: Expectations) -> None:
    """A request that would unload the role's model leaves it loaded."""
    assert gateway.load(expected, role).status_code == 200
    answer = gateway.load(expected, role, keep_alive=0)
    assert answer.status_code == 400 or answer.headers["x-sealift-ignored"] == "keep_alive"
    assert gateway.loaded(expected, role)


@pytest.mark.parametrize("path", ["/api/generate", "/v1/chat/completions"])
def test_refuses_a_body_that_has_two_meanings(gateway: Gateway, path: str) -> None:
    """A body that Ollama reads otherwise than its letters say is refused with 400."""
    body = {"model": "one", "Model": "another"}
    answer = gateway.send("POST", path, gateway.right_key, body=body)
    assert answer.status_code == 400
    assert "is a key that Ollama takes for model" in refusal(answer)
