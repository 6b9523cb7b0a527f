"""Facts of the same kind, asked by one command: a host starts two programs in place of two for each fact."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sealift.drift.check import Check
from sealift.facts.docker import Daemon
from sealift.facts.fact import FactBase
from sealift.facts.files import PlainFile
from sealift.facts.text import TextFile

_PATH = "path\t"


@dataclass(frozen=True)
class Asked:
    """A command for some facts, and what each of them would have heard from one of its own.

    + lines: takes what the command printed, and a fact's check; gives the fact's lines
    """

    facts: tuple[type[FactBase[Any]], ...]
    command: Callable[[Sequence[Check]], str]
    lines: Callable[[Sequence[str], Sequence[Check], Check], list[str]]


def _look_at(checks: Sequence[Check]) -> str:
    """Lines of `find`, then those of `sha256sum`."""
    return f"{_find(str(check.arguments['path']) for check in checks)} -type f -exec sha256sum {{}} +"


def _find(paths: Iterable[str]) -> str:
    form = f"{_PATH}%p\\t%y\\t%U:%G\\t%m\\t%C@\\n"
    return f"find {shlex.join(sorted(set(paths)))} -maxdepth 0 -printf {shlex.quote(form)}"


def _seen(output: Sequence[str]) -> tuple[Mapping[str, list[str]], Mapping[str, str]]:
    """What stands at each path, and the digests of files."""
    stands: dict[str, list[str]] = {}
    digests: dict[str, str] = {}
    for line in output:
        if line.startswith(_PATH):
            path, *standing = line.removeprefix(_PATH).split("\t")
            stands[path] = standing
        else:
            digest, _, path = line.partition("  ")
            digests[path] = digest
    return stands, digests


def _of_path(output: Sequence[str], _: Sequence[Check], check: Check) -> list[str]:
    stands, digests = _seen(output)
    path = str(check.arguments["path"])
    if path not in stands:
        return []
    kind, owner, mode, _changed = stands[path]
    digest = [digests[path]] if path in digests else []
    if check.fact is PlainFile:
        return ["\t".join((kind, owner, mode)), *digest]
    return [*digest, mode] if kind == "f" else []


def _look_at_daemons(checks: Sequence[Check]) -> str:
    """What systemd says of each, an empty line between, then when its configuration was changed."""
    units = [str(check.arguments["unit"]) for check in checks]
    properties = "UnitFileState,ActiveState,ExecMainStartTimestamp"
    asked = f"systemctl show {shlex.join(units)} --timestamp=us+utc --property={properties}"
    return f"{asked}; {_find(str(check.arguments['configuration']) for check in checks)}"


def _of_daemon(output: Sequence[str], checks: Sequence[Check], check: Check) -> list[str]:
    said = [line for line in output if "=" in line or not line]
    blocks = "\n".join(said).split("\n\n")
    stands, _ = _seen([line for line in output if line.startswith(_PATH)])
    changed = stands.get(str(check.arguments["configuration"]), [""])[-1]
    block = blocks[checks.index(check)] if len(blocks) == len(checks) else ""
    return [*filter(None, block.split("\n")), *([f"Configured={changed}"] if changed else [])]


TOGETHER = (
    Asked((TextFile, PlainFile), _look_at, _of_path),
    Asked((Daemon,), _look_at_daemons, _of_daemon),
)
