"""Every alert says what is wrong and what to do, and docs/watch.md says more."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from sealift.host.alert_settings import AlertSettings
from tests.unit.rules import render_rules

DOCS = (Path(__file__).parents[2] / "docs/watch.md").read_text()


@cache
def _alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(render_rules()["alerts.yml"])["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


@pytest.mark.parametrize("name", _alerts())
def test_an_alert_says_what_is_wrong_and_what_to_do(name: str) -> None:
    rule = _alerts()[name]
    said = rule["annotations"]
    assert set(said) == {"summary", "action", "runbook"}
    assert re.fullmatch(r"[^\n]{10,200}\.", said["summary"])
    assert re.fullmatch(r"[^\n{}]{20,160}\.", said["action"])
    assert rule["labels"]["severity"] in ("critical", "warning") or name == "Watchdog"


@pytest.mark.parametrize("name", _alerts())
def test_an_alert_has_a_section_in_the_docs(name: str) -> None:
    assert _alerts()[name]["annotations"]["runbook"] == f"docs/watch.md#{name.lower()}"
    section = DOCS.partition(f"\n### {name}\n")[2].partition("\n##")[0]
    severity = _alerts()[name]["labels"]["severity"]
    assert section.strip().startswith({"none": "Always"}.get(severity, f"{severity.capitalize()}. "))
    assert len(section) > 60


def test_the_docs_have_no_section_of_another_alert() -> None:
    sections = DOCS.partition("\n## The alerts\n")[2].partition("\n## Objectives\n")[0]
    assert re.findall(r"^### (.*)$", sections, re.MULTILINE) == list(_alerts())


@pytest.mark.parametrize("name", AlertSettings.model_fields)
def test_a_threshold_is_in_the_rules_and_in_the_docs(name: str) -> None:
    default = getattr(AlertSettings(), name)
    whole = AlertSettings.model_fields[name].annotation is int
    other = AlertSettings.model_validate({name: default + 7 if whole else (default or 8) / 2})
    assert render_rules(other) != render_rules()
    shown = "none" if default is None else f"{default:g}"
    assert f"| `{name}` | {shown} |" in DOCS
