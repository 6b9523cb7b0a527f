"""Golden questions and objectives on lab hosts: claimed by verify, and asked by evaluate."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest

from sealift.quality.evaluate import golden_questions
from sealift.release.parse import load_release
from tests.lab.commands import CHECKOUT, Commands
from tests.lab.conftest import Site

HOSTS = {"h1", "h2", "h3"}
ROLES = load_release(CHECKOUT / "releases/demo.yaml").roles


def test_verify_claims_every_golden_question_and_objective_on_every_host(
    site: Site, record_property: Callable[[str, object], None]
) -> None:
    evidence = json.loads((site.evidence / "evidence.json").read_text())
    claims = [result for result in evidence["results"] if result["area"] == "quality"]
    record_property("kept", {r["claim"]: r["observed"] for r in claims if "objectives" in r["name"]})
    asked = sum(len(golden_questions(role)) for role in ROLES.values())
    assert Counter(claim["host"] for claim in claims) == dict.fromkeys(HOSTS, asked + len(ROLES))
    assert {claim["outcome"] for claim in claims} == {"passed"}
    kept = [claim["observed"] for claim in claims if "objectives" in claim["name"]]
    assert all(told.startswith("kept") for observed in kept for told in observed.values()) and all(kept)


@pytest.mark.exhaustive
def test_evaluate_asks_every_host_and_keeps_what_it_said(
    site: Site, commands: Commands, record_property: Callable[[str, object], None]
) -> None:
    ran = commands.ok("sealift", "evaluate", "lab")
    record_property("evaluate", f"\n{ran.out}")
    said = json.loads(commands.ok("sealift", "evaluate", "lab", "--role", "embed", "--json").out)
    assert said["before"] is None
    assert {question["role"] for question in said["questions"]} == {"embed"}
    assert all(question["now"] == dict.fromkeys(HOSTS) for question in said["questions"])
    kept = json.loads(
        (site.lab / f"evidence/quality/lab/{site.bundle_digest.removeprefix('sha256:')}.json").read_text()
    )
    assert {answer["host"] for answer in kept["answers"]} == HOSTS
    assert {answer["role"] for answer in kept["answers"]} == ROLES.keys()
