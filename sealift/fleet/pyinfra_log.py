"""What pyinfra says while it works, line by line: where it is, our own words to the operator, what failed.

pyinfra gives no report where a host fails (`config.FAIL_PERCENT`), so why it did is read from here. Source of
the lines: `pyinfra/api/operations.py` and `pyinfra/api/util.py`, 3.10.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sealift.errors import printable

TELLS = "sealift tells: "  # in front of what an operation tells the operator while it works
_OPERATION = re.compile(r"--> Starting .*operation: (.*)")
_OF_HOST = re.compile(r"\[([^\]\s]+)\]\s+(.*)")
_FAILED = re.compile(r"Error: (executed [0-9]+ commands|could not (load|process) fact: .*)")
_DISCONNECTED = re.compile(r"Command (socket/SSH|IO) error: |Command timed out after ")
_NO_SPACE = re.compile(r"no space left on device", re.IGNORECASE)
_SHOWN = 500  # characters of a host's line, which may be anything


@dataclass
class PyinfraLog:
    """What was read so far.

    + operation: the one that pyinfra is at; empty before the first
    """

    operation: str = ""
    _said: dict[str, list[str]] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)

    def read(self, line: str) -> str | None:
        """Take a line; give what it tells the operator, if that is what it is for."""
        line = line.strip()
        if started := _OPERATION.match(line):
            self.operation = started[1].strip()
            self._said.clear()
        elif of := _OF_HOST.match(line):
            host, said = of[1], of[2].strip()
            if said.startswith(TELLS):
                return f"{host}: {printable(said.removeprefix(TELLS))}"
            if _FAILED.match(said):
                self._failed.setdefault(host, self._failure(host))
            elif said:
                self._said.setdefault(host, []).append(said)
        return None

    @property
    def failures(self) -> tuple[str, ...]:
        """Why hosts failed, a line each, in the order in which they did."""
        return tuple(self._failed.values())

    def _failure(self, host: str) -> str:
        said = self._said.get(host, [])
        at = f"at {self.operation!r}" if self.operation else "before the first operation"
        if not said or any(map(_DISCONNECTED.match, said)):  # a connection that ends has no word of its own
            why = f" ({_shown(said[-1])})" if said else ""
            return (
                f"{host}: the connection was cut or the command there was killed{why}, {at}. "
                "Look at the host and the network: sealift status."
            )
        full = [line for line in said if _NO_SPACE.search(line)]
        if full:
            return f"{host}: has no space left, {at}: {_shown(full[-1])}. Make room there: df -h."
        return f"{host}: failed {at}: {_shown(said[-1])}."


def _shown(said: str) -> str:
    return printable(said)[:_SHOWN].rstrip(".")
