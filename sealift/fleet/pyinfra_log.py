"""What pyinfra says while it works, line by line: where it is, our own words to the operator, what failed.

pyinfra gives no report where a host fails (`config.FAIL_PERCENT`), so why it did is read from here. Source of
the lines: `pyinfra/api/operations.py` and `pyinfra/api/util.py`, 3.10.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sealift.errors import printable
from sealift.ssh import line_without_space

TELLS = "sealift tells: "  # in front of what an operation tells the operator while it works
_OPERATION = re.compile(r"--> Starting .*operation: (.*)")
_OF_HOST = re.compile(r"\[([^\]\s]+)\]\s+(.*)")
_FAILED = re.compile(r"Error: executed [0-9]+ commands")
_NO_FACT = re.compile(r"Error: could not load fact: ")
# pyinfra ends with a traceback then; gevent has the time in front
_LOST = re.compile(r"([0-9T:Z-]+ )?<Greenlet .*\bHost\(([^)\s]+)\).*failed with EOFError")
_DISCONNECTED = re.compile(r"Command (socket/SSH|IO) error: |Command timed out after ")
REFUSED = "refused, and nothing was changed on any host."  # a line for each problem follows, host first
_PROBLEM = re.compile(r"([^:\s]+): \S")
_SHOWN = 500  # characters of a host's line, which may be anything


@dataclass
class PyinfraLog:
    """What was read so far.

    + operation: the one that pyinfra is at; empty before the first
    """

    operation: str = ""
    _said: dict[str, list[str]] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)
    _refused: bool = False

    def read(self, line: str) -> str | None:
        """Take a line; give what it tells the operator, if that is what it is for."""
        line = line.strip()
        if self._refused and (problem := _PROBLEM.match(line)):
            self._failed.setdefault(problem[1], printable(line))
        elif line.startswith("--> pyinfra error") and line.endswith(REFUSED):  # no line of a host begins so
            self._refused = True
        elif started := _OPERATION.match(line):
            self.operation = started[1].strip()
            self._said.clear()
        elif of := _OF_HOST.match(line):
            host, said = of[1], of[2].strip()
            if said.startswith(TELLS):
                return f"{host}: {printable(said.removeprefix(TELLS))}"
            if _FAILED.match(said):
                self._failed.setdefault(host, self._failure(host))
            elif _NO_FACT.match(said):
                self._failed.setdefault(host, self._unanswered(host))
            elif said:
                self._said.setdefault(host, []).append(said)
        elif lost := _LOST.match(line):  # in no line of a host: it may say anything of others
            self._failed.setdefault(lost[2], self._cut(lost[2], ""))
        return None

    @property
    def failures(self) -> tuple[str, ...]:
        """Why hosts failed, a line each, in the order in which they did."""
        return tuple(self._failed.values())

    def _failure(self, host: str) -> str:
        said = self._said.get(host, [])
        if not said or _DISCONNECTED.match(said[-1]):  # a connection that ends has no word of its own
            return self._cut(host, said[-1] if said else "")
        if full := line_without_space(said):
            return f"{host}: has no space left, {self._at}: {_shown(full)}. Make room there: df -h."
        return f"{host}: failed {self._at}: {_shown(said[-1])}."

    def _unanswered(self, host: str) -> str:
        """What was said of a fact is what is known of it: facts do not fail, but sudo and connections do."""
        last = self._said.get(host, [""])[-1]
        if last.startswith("sudo"):
            return f"{host}: failed {self._at}: {_shown(last)}."
        return self._cut(host, last if _DISCONNECTED.match(last) else "")

    def _cut(self, host: str, why: str) -> str:
        because = f" ({_shown(why)})" if why else ""
        return (
            f"{host}: the connection was cut or the command there was killed{because}, {self._at}. "
            "Look at the host and the network: sealift status."
        )

    @property
    def _at(self) -> str:
        return f"at {self.operation!r}" if self.operation else "before the first operation"


def _shown(said: str) -> str:
    return printable(said)[:_SHOWN].rstrip(".")
