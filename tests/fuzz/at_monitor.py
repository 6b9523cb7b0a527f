"""What the file of alerts is told on the host that watches."""

from __future__ import annotations

import json
from pathlib import Path

from sealift.errors import SealiftError
from templates.alertlog.alertlog import Log, RefusedError
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target, alone, only

_ALERT = {
    "status": "resolved",
    "labels": {"alertname": "RoleDown", "host": "h1", "severity": "critical"},
    "annotations": {"summary": "h1: role chat does not answer."},
    "startsAt": "2026-11-01T11:59:00Z",
    "endsAt": "2026-11-01T12:30:00Z",
    "fingerprint": "6b2c1d8a5f0e9c47",
}
_GOOD = {"version": "4", "status": "firing", "alerts": [_ALERT, {**_ALERT, "status": "firing"}]}


def _noted(case: Case, folder: Path) -> object:
    log = Log(folder)
    try:
        written = log.alerts(only(case), now=0)
        log.alive(only(case), now=0)
    except RefusedError:
        raise SealiftError("FUZZ: is no notification, expected one. Look.") from None
    lines = log.path.read_text().splitlines() if written else []
    if len([json.loads(line) for line in lines]) != written:
        raise AssertionError(lines)
    return lines


TARGETS = (
    Target(
        "notification of Alertmanager",
        alone(json.dumps(_GOOD).encode()),
        _noted,
        (b'"alerts":[', b'"labels":{', b'"status":"firing"', b'"annotations":{'),
    ),
)
