"""The models answer, through the gateway, as applications ask them: by role."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
import requests
from testinfra.host import Host

from sealift.evidence.expectations import Expectations
from tests.hosts.containers import complaints
from tests.hosts.gateway_client import Gateway
from tests.hosts.properties import RecordProperty

PROMPT = "What is the capital of France? Answer in one sentence."
MESSAGES = [{"role": "user", "content": PROMPT}]
# The same answer each time, and an end to it.
OPTIONS = {"temperature": 0, "seed": 1, "num_predict": 64}
SECOND = 10**9  # Ollama counts nanoseconds
RELATED = ("Paris is the capital city of France.", "The recipe needs two eggs and some flour.")
ALIKE = 0.999  # cosine: the same, but for rounding


def _answered(host: Host, response: requests.Response) -> dict[str, Any]:
    """What came back; Ollama's log where that is no answer."""
    if response.status_code != 200:
        said = f"{response.status_code} {response.text[:300]}"
        pytest.fail(f"{said}; Ollama's log says:\n{complaints(host, 'ollama')}", pytrace=False)
    return dict(response.json())


def cosine(one: list[float], other: list[float]) -> float:
    """How alike two embeddings are: 1 is the same direction."""
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


def test_answers(
    host: Host, gateway: Gateway, speaker: str, expected: Expectations, record_property: RecordProperty
) -> None:
    """The role answers a question sensibly."""
    body = {"model": speaker, "messages": MESSAGES, "options": OPTIONS, "stream": False}
    response = gateway.send("POST", "/api/chat", gateway.right_key, body=body)
    said = _answered(host, response)
    answer = said["message"]["content"].strip()
    record_property("prompt", PROMPT)
    record_property("answer", answer)
    record_property("tokens/s", f"{said['eval_count'] * SECOND / said['eval_duration']:.1f}")
    record_property("answered in", f"{said['total_duration'] / SECOND:.1f} s")
    record_property("of which loading", f"{said['load_duration'] / SECOND:.1f} s")
    assert said["done"] is True
    assert "Paris" in answer or not expected.roles[speaker].plain


def test_streams(
    gateway: Gateway, speaker: str, expected: Expectations, record_property: RecordProperty
) -> None:
    """The role's answer arrives word by word while it is made, not all at its end."""
    body = {"model": speaker, "messages": MESSAGES, "options": OPTIONS, "stream": True}
    started = time.monotonic()
    arrived: list[tuple[float, dict[str, object]]] = []
    with gateway.send("POST", "/api/chat", gateway.right_key, body=body, stream=True) as response:
        assert response.status_code == 200
        for line in response.iter_lines(chunk_size=None):
            arrived.append((time.monotonic() - started, json.loads(line)))
    (first, _), (last, end) = arrived[0], arrived[-1]
    record_property("chunks", len(arrived))
    record_property("first after", f"{first:.2f} s")
    record_property("last after", f"{last:.2f} s")
    assert end["done"] is True
    if not expected.roles[speaker].plain:  # its answers may be of one word
        return
    assert len(arrived) > 2
    made_in = float(str(end["eval_duration"])) / SECOND
    assert last - first > made_in / 2, "the chunks came together: something between holds them back"


def test_answers_openai_clients(
    gateway: Gateway, speaker: str, expected: Expectations, record_property: RecordProperty
) -> None:
    """The role answers clients of the OpenAI API."""
    body = {"model": speaker, "messages": MESSAGES, "temperature": 0, "seed": 1, "max_tokens": 64}
    response = gateway.send("POST", "/v1/chat/completions", gateway.right_key, body=body)
    assert response.status_code == 200, response.text[:300]
    answer = response.json()["choices"][0]["message"]["content"].strip()
    record_property("said", answer)
    assert "Paris" in answer or not expected.roles[speaker].plain


def test_embeds(host: Host, gateway: Gateway, embedder: str, record_property: RecordProperty) -> None:
    """The role's embeddings are of one length and tell what is related from what is not."""
    body = {"model": embedder, "input": [PROMPT, *RELATED]}
    said = _answered(host, gateway.send("POST", "/api/embed", gateway.right_key, body=body))
    question, near, far = said["embeddings"]
    record_property("numbers", len(question))
    record_property("related and unrelated", f"{cosine(question, near):.2f}, {cosine(question, far):.2f}")
    record_property("answered in", f"{said['total_duration'] / SECOND:.2f} s")
    assert len(question) == len(near) == len(far) > 1
    assert cosine(question, near) > cosine(question, far)


def test_embeds_for_openai_clients(gateway: Gateway, embedder: str) -> None:
    """The role gives clients of the OpenAI API the same embeddings."""
    body = {"model": embedder, "input": PROMPT}
    native, openai = (
        gateway.send("POST", path, gateway.right_key, body=body) for path in ("/api/embed", "/v1/embeddings")
    )
    assert (native.status_code, openai.status_code) == (200, 200), openai.text[:300]
    assert cosine(native.json()["embeddings"][0], openai.json()["data"][0]["embedding"]) > ALIKE


def test_has_its_context(
    gateway: Gateway, role: str, expected: Expectations, record_property: RecordProperty
) -> None:
    """The role is loaded with at least the context that the release gives it."""
    assert gateway.load(expected, role).status_code == 200
    context = gateway.loaded(expected, role)["context_length"]
    record_property("tokens", context)
    assert context >= expected.roles[role].context


def test_refuses_a_model_that_is_not_in_the_release(gateway: Gateway) -> None:
    """A model that the release does not have is refused with 403."""
    body = {"model": "no-such-model", "messages": MESSAGES, "stream": False}
    assert gateway.send("POST", "/api/chat", gateway.right_key, body=body).status_code == 403
