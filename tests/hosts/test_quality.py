"""Golden questions of the release, and what its roles promise. Both are the release's to say."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from sealift.errors import SealiftError
from sealift.evidence.expectations import Expectations
from sealift.quality.judge import judged
from sealift.quality.objectives import ROUNDS, held_against, request_of
from sealift.release.objectives import Objective
from sealift.release.questions import Golden
from tests.hosts.gateway_client import Gateway
from tests.hosts.properties import RecordProperty

SECOND = 10**9  # Ollama counts nanoseconds


def test_answers_a_golden_question_well(
    gateway: Gateway, golden: tuple[str, Golden], record_property: RecordProperty
) -> None:
    """The role's answer is as the release wants it."""

    def ask(path: str, body: Mapping[str, object]) -> Any:
        response = gateway.send("POST", path, gateway.right_key, body=body)
        if response.status_code != 200:
            raise SealiftError(f"answers {response.status_code} {response.text[:300]!r}")
        return response.json()

    verdict = judged(*golden, ask)
    record_property("said", verdict.said)
    if verdict.problem:
        pytest.fail(f"{verdict.said!r} {verdict.problem}", pytrace=False)


def test_keeps_its_objectives(
    gateway: Gateway, promising: str, expected: Expectations, record_property: RecordProperty
) -> None:
    """The role keeps what is promised of it, asked alone while its model is loaded."""
    role = expected.roles[promising]
    rounds = [_measured(gateway, promising, role.embeds) for _ in range(1 + ROUNDS)][1:]
    memory = [float(gateway.loaded(expected, promising)["size"])]
    measured: dict[Objective, list[float]] = {"memory": memory}
    for one in rounds:
        for objective, figure in one.items():
            measured.setdefault(objective, []).append(figure)
    kept = held_against(role.objectives, role.released, measured)
    for each in kept:
        record_property(each.objective.replace("_", " "), f"{each.verdict}: {each.told}")
    if broken := [f"{each.objective}: {each.told}" for each in kept if not each.kept]:
        pytest.fail("\n".join(broken), pytrace=False)


def _measured(gateway: Gateway, role: str, embeds: bool) -> dict[Objective, float]:
    """The figures of one answer."""
    path, body = request_of(role, embeds)
    started, first, last = time.monotonic(), 0.0, b""
    with gateway.send("POST", path, gateway.right_key, body=body, stream=True) as response:
        assert response.status_code == 200
        for line in response.iter_lines(chunk_size=None):
            first = first or time.monotonic() - started
            last = line
    answered: dict[Objective, float] = {"answer": time.monotonic() - started}
    if embeds:
        return answered
    said = json.loads(last)
    speed = said["eval_count"] * SECOND / said["eval_duration"]
    return {**answered, "first_token": first, "tokens_per_second": speed}
