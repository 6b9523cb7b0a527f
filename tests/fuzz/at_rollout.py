"""What a rollout reads again: its journal, and a plan that somebody carried to an approver and back."""

from __future__ import annotations

from pathlib import Path

from sealift.rollout.course import failures, next_step
from sealift.rollout.events import Opened
from sealift.rollout.journal import parse
from sealift.rollout.known import doubtful
from sealift.rollout.plan import read_plan
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target, alone, only

_DIGEST = f"sha256:{'0' * 64}"
_AT = '"at":"2026-11-29T12:00:00Z"'
_JOURNAL = "".join(
    f"{{{_AT},{each}}}\n"
    for each in (
        f'"kind":"opened","rollout":"r","inventory":"i","release":"a:1","bundle":"{_DIGEST}","code":"c",'
        '"who":"w","node":"n","waves":[["h1"],["h2"]],"canary":true,"allowed":0,"on_failure":"all"',
        '"kind":"began","wave":0,"phase":"ship","hosts":["h1","h2"]',
        '"kind":"ended","wave":0,"phase":"ship","seconds":1.5,"failed":{"h1":"why"}',
        '"kind":"judged","wave":0,"passed":false,"sentence":"s"',
        '"kind":"resumed","who":"w","again":true',
    )
).encode()
_PLAN = (
    f'{{"fingerprint":"{_DIGEST}","inventory":"i","release":"a:1","bundle":"{_DIGEST}","code":"{_DIGEST}",'
    '"made_at":"2026-11-29T12:00:00Z","made_by":"w","waves":[["h1"]],'
    f'"hosts":{{"h1":{{"at":"{_DIGEST}","bytes":1,"blobs":1,"differs":["d"]}}}},"seconds":1.5}}'
).encode()


def _journal(case: Case, _: Path) -> object:
    events, whole = parse(only(case), Path("FUZZ"))
    assert whole <= len(only(case))
    if events and isinstance(events[0], Opened):
        return failures(events), next_step(events), list(doubtful(events))
    return None


def _plan(case: Case, folder: Path) -> object:
    (folder / "FUZZ.json").write_bytes(only(case))
    return read_plan(folder / "FUZZ.json").ok


TARGETS = (
    Target("journal", alone(_JOURNAL), _journal, (b'"kind":', b'"phase":', b'"waves":', b'"closed"')),
    Target("plan", alone(_PLAN), _plan, (b'"hosts":', b'"waves":', b'"problems":')),
)
