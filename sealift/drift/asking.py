"""All facts of a host by one script, and what differs by them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from sealift.drift.check import Check
from sealift.drift.together import TOGETHER, Asked
from sealift.facts.engine import EngineFact
from sealift.facts.fact import FactBase, unreadable
from sealift.host import engine

_MARK = "sealift-fact="  # begins the line in front of a fact's answer


def script(checks: Sequence[Check]) -> str:
    """A script that asks for every fact, one after another; a fact that fails is left empty.

    Docker is asked by another, for `questions`.
    """
    asked = []
    for number, each in enumerate(TOGETHER):
        if some := _of(checks, each):
            asked.append(_marked(f"together-{number}", each.command(some)))
    for number, check in enumerate(checks):
        if _together(check):
            continue
        fact = check.fact()
        asks = fact.beside if isinstance(fact, EngineFact) else fact.command
        command = str(asks(**check.arguments))
        if not command:
            continue
        needs = fact.requires_command(**check.arguments)
        if needs:
            command = f"if command -v {shlex.quote(needs)} >/dev/null; then {command}\nfi"
        asked.append(_marked(str(number), command))
    return "\n".join((*asked, f"echo {_MARK}end"))


def _marked(name: str, command: str) -> str:
    return f"echo {_MARK}{name}; (set +u; {command}\n) 2>/dev/null </dev/null"


def _of(checks: Sequence[Check], each: Asked) -> tuple[Check, ...]:
    return tuple(check for check in checks if check.fact in each.facts)


def _together(check: Check) -> bool:
    return any(check.fact in each.facts for each in TOGETHER)


def questions(checks: Sequence[Check]) -> tuple[str, ...]:
    """What Docker is asked for all facts."""
    return tuple(question for check in checks for question in _asks(check))


def _asks(check: Check) -> tuple[str, ...]:
    fact = check.fact()
    return fact.asks(**check.arguments) if isinstance(fact, EngineFact) else ()


def differences(checks: Sequence[Check], said: str) -> tuple[str, ...]:
    """What differs, each once, in the order of the checks.

    + said: what the script printed, with lines of other scripts in front
    """
    answers = _answers(said)
    from_docker = engine.answers(said.split("\n"))
    found: list[str] = []
    for number, check in enumerate(checks):
        lines = answers.get(str(number), []) + [
            engine.line(question, answer)
            for question in dict.fromkeys(_asks(check))
            for answer in from_docker.get(question, [])
        ]
        try:
            for which, each in enumerate(TOGETHER):
                if check.fact in each.facts:
                    lines = _apart(each, answers.get(f"together-{which}", []), checks, check)
            found += check.judge(_processed(check.fact(), lines))
        except unreadable():
            found.append(f"{check.fact.__name__} cannot be read")
    if "end" not in answers:
        found.append("the host did not say all that it was asked")
    return tuple(dict.fromkeys(found))


def _apart(each: Asked, output: Sequence[str], checks: Sequence[Check], check: Check) -> list[str]:
    try:
        return each.lines(output, _of(checks, each), check)
    except (ValueError, LookupError) as error:
        raise unreadable()(str(error)) from None


def _answers(said: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in said.split("\n"):  # at no other sign: foreign text has those
        if line.startswith(_MARK):
            current = found.setdefault(line.removeprefix(_MARK), [])
        else:
            current.append(line)
    return found


def _processed(fact: FactBase[Any], lines: list[str]) -> Any:
    """As pyinfra does: no output is the fact's default."""
    return fact.process(lines) if lines else fact.default()
