"""All facts of a host by one script, and what differs by them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from sealift.drift.check import Check
from sealift.facts.fact import FactBase, unreadable

_MARK = "sealift-fact="  # begins the line in front of a fact's answer


def script(checks: Sequence[Check]) -> str:
    """A script that asks for every fact, one after another; a fact that fails is left empty."""
    asked = []
    for number, check in enumerate(checks):
        fact = check.fact()
        command = str(fact.command(**check.arguments))
        needs = fact.requires_command(**check.arguments)
        if needs:
            command = f"if command -v {shlex.quote(needs)} >/dev/null; then {command}\nfi"
        asked.append(f"echo {_MARK}{number}; (set +u; {command}\n) 2>/dev/null </dev/null")
    return "\n".join((*asked, f"echo {_MARK}end"))


def differences(checks: Sequence[Check], said: str) -> tuple[str, ...]:
    """What differs, each once, in the order of the checks.

    + said: what the script printed, with lines of other scripts in front
    """
    answers = _answers(said)
    found: list[str] = []
    for number, check in enumerate(checks):
        try:
            found += check.judge(_processed(check.fact(), answers.get(str(number), [])))
        except unreadable():
            found.append(f"{check.fact.__name__} cannot be read")
    if "end" not in answers:
        found.append("the host did not say all that it was asked")
    return tuple(dict.fromkeys(found))


def _answers(said: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in said.splitlines():
        if line.startswith(_MARK):
            current = found.setdefault(line.removeprefix(_MARK), [])
        else:
            current.append(line)
    return found


def _processed(fact: FactBase[Any], lines: list[str]) -> Any:
    """As pyinfra does: no output is the fact's default."""
    return fact.process(lines) if lines else fact.default()
