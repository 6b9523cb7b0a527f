"""The log of overrides, which lies with the evidence: what was let pass, when, by whose word."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sealift.promotion.kept import Signed
from sealift.promotion.making import this_user

OVERRIDES = "overrides.jsonl"


def override_line(each: Signed, what: str, now: datetime) -> Mapping[str, object]:
    """What is written down of an override that let something pass.

    + what: was done, such as `import`
    """
    return {
        "used_at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "used_by": this_user(),
        "used_for": what,
        "signed_by": each.signer,
        "override": each.digest,
        **each.statement.model_dump(mode="json"),
    }


def append_lines(path: Path, lines: Sequence[Mapping[str, object]]) -> None:
    """Append JSON lines to a file and see them on the disk; nothing is made where there are none."""
    if not lines:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(handle, "".join(f"{json.dumps(line, sort_keys=True)}\n" for line in lines).encode())
        os.fsync(handle)
    finally:
        os.close(handle)
