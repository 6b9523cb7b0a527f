"""A lock, as far as a bare control node looks at it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sealift.install.content import ControlPart, control_part
from sealift.install.start import Item

HEX = "ab" * 32


def blob(size: int = 3) -> dict[str, Any]:
    return {"digest": f"sha256:{HEX}", "size": size}


def lock(**control: Any) -> dict[str, Any]:
    """The keys of a lock that are looked at."""
    deb = {"name": "openssh-client", "version": "1:10.0p1-7", "groups": ["control"], "blob": blob(7)}
    return {
        "release": {"name": "demo", "version": "2026.11.0", "suite": "trixie"},
        "packages": [deb, {**deb, "name": "docker.io", "groups": ["all"]}],
        "control": {
            "code": blob(),
            "requirements": blob(4),
            "wheels": [{"file": "pip-26.3-py3-none-any.whl", "blob": blob(5)}],
            **control,
        },
    }


def parsed(content: Any) -> ControlPart:
    return control_part(json.dumps(content).encode(), "sha256:00")


def never(item: Item, target: Path) -> None:
    raise AssertionError(f"{item} was asked for")
