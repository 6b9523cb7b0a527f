"""The JSON Schemas that editors read say what the parsers say, and are those of this version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # has no stubs of its own

from sealift.cli.schema import DOCUMENTS, Document, json_schema
from tests.unit import fleet_site
from tests.unit.test_release_file import GOOD

ROOT = Path(__file__).parents[2]


def _mistakes(document: Document, value: Any) -> list[str]:
    validator = Draft202012Validator(json.loads(json_schema(document)))
    return [error.json_path for error in validator.iter_errors(value)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_schema_in_docs_is_fresh(document: Document) -> None:
    path = ROOT / "docs" / "schemas" / f"{document}.json"
    fresh = path.read_bytes() == json_schema(document)
    assert fresh, f"run: sealift schema {document} > docs/schemas/{document}.json"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_schema_is_one(document: Document) -> None:
    Draft202012Validator.check_schema(json.loads(json_schema(document)))


@pytest.mark.parametrize("document", ["release", "settings"])
def test_what_people_write_is_explained(document: Document) -> None:
    schema = json.loads(json_schema(document))
    kinds = {document: schema, **schema["$defs"]}
    explained = {
        "components",
        "architecture",
        "packages",
        "ollama",
        "gateway",
        "front",
        "docker",
        "gpu",
        "minimum",
        "monitoring",
        "alerts",
        "promotion",
        "receivers",
        "rollout",
    }
    missing = [
        f"{kind}.{key}"
        for kind, described in kinds.items()
        for key, value in described["properties"].items()
        if "description" not in value and key not in explained
    ]
    assert missing == []


def test_release_files_pass_and_name_their_schema() -> None:
    for path in (ROOT / "releases").glob("*.yaml"):
        text = path.read_text()
        assert _mistakes("release", yaml.safe_load(text)) == []
        first = text.splitlines()[0]
        named = path.parent / first.removeprefix("# yaml-language-server: $schema=")
        assert named.resolve() == ROOT / "docs" / "schemas" / "release.json"


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("suite: trixie", "suite: sid", "$.suite"),
        ("name: demo", "name: Demo", "$.name"),
        ("  base: [", "  base: [-x, ", "$.packages.base[0]"),
        ("gemma3:270m: {archive", "gemma3: {archive", "$.models"),
        ("key: nvidia-apt", "key: ../nvidia-apt", "$.packages.sources.nvidia.key"),
        ("parallel: 2", "parallel: 0", "$.roles.chat.parallel"),
    ],
)
def test_a_mistake_is_shown_where_it_is(old: str, new: str, where: str) -> None:
    assert old in GOOD
    assert _mistakes("release", yaml.safe_load(GOOD)) == []
    assert _mistakes("release", yaml.safe_load(GOOD.replace(old, new))) == [where]


def test_a_lock_and_settings_pass() -> None:
    assert _mistakes("lock", fleet_site.lock().model_dump(mode="json", by_alias=True)) == []
    settings = fleet_site.site_settings().model_dump(mode="json", by_alias=True)
    assert _mistakes("settings", settings) == []
    assert _mistakes("settings", {**settings, "ollama": {"num_parallell": 2}}) == ["$.ollama"]
