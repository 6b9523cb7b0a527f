"""What is carried between staging and production: records, approvals, overrides, evidence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sealift.evidence.record import read_evidence
from sealift.promotion.statements import (
    Approval,
    Override,
    Record,
    Statement,
    day_and_time,
    dump_statement,
    out_of_time,
    parse_statement,
)
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target, alone, only

_NOW = datetime(2026, 11, 29, tzinfo=UTC)
_DIGEST = f"sha256:{'0' * 64}"
_COMMON = {"environment": "prod", "release": "demo:1", "bundle": _DIGEST, "at": _NOW, "by": "root on c"}
_PASSED = {"code": _DIGEST, "passed_at": _NOW, "hosts": 3, "claims": {"docker": 9}, "objectives": {"a: b": 3}}
_STATEMENTS: tuple[Statement, ...] = (
    Record.model_validate({**_COMMON, **_PASSED}),
    Approval.model_validate({**_COMMON, "plan": _DIGEST}),
    Override.model_validate({**_COMMON, "lets": ["older"], "reason": "so", "until": _NOW}),
)
_EVIDENCE = (
    b'{"inventory":"lab","release":"demo:1","bundle":"sha256:' + b"a" * 64 + b'","verified_on":"c",'
    b'"verified_at":"2026-11-29T08:00:00Z","hosts":[{"name":"h1","address":"a","groups":["llm"]}],'
    b'"results":[{"host":"h1","area":"a","name":"n","claim":"c","outcome":"failed","seconds":1,'
    b'"observed":{"a":"b"}}]}'
)


def _statement(case: Case, _: Path) -> object:
    said = parse_statement(only(case), "FUZZ")
    assert parse_statement(dump_statement(said), "again") == said
    return out_of_time(said, _NOW, 30), day_and_time(said.at)


def _evidence(case: Case, folder: Path) -> object:
    (folder / "FUZZ.json").write_bytes(only(case))
    return read_evidence(folder / "FUZZ.json").causes


TARGETS = (
    Target(
        "statement",
        alone(*map(dump_statement, _STATEMENTS)),
        _statement,
        (b'"kind":', b'"until":', b'"lets":', b'"record"', b'"override"'),
    ),
    Target("evidence", alone(_EVIDENCE), _evidence, (b'"results":', b'"outcome":')),
)
