"""What a running chain's hosts say, and what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sealift.ship.chain import Part
from sealift.ssh import last_line

STALLED_S = 6.0  # that a host waits for bytes which the one before it has
SILENT_S = 30.0  # that a host says nothing while it should take bytes; it says something every second
_ENSUES_S = 2.0  # until what a fault brings with it is heard, such as the death of the host that caused it


@dataclass(frozen=True)
class Fault:
    """Why a chain cannot go on.

    + gone: a host that is out of it
    + suspects: otherwise the two ends of a link that carries nothing; the control node is none
    """

    why: str
    gone: str | None = None
    suspects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a chain.

    + lost: hosts that could not be in it, and why
    + order: its hosts; empty where no chain was worth while
    + fault: why it ended before its time
    + bad: by host, the digests that came with another content
    """

    lost: Mapping[str, str]
    order: tuple[Part, ...] = ()
    fault: Fault | None = None
    bad: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass
class _State:
    got: int = 0
    heard: float = 0.0
    waits: float = 0.0  # seconds, as it says
    done: bool = False
    error: str | None = None
    cut_in: float | None = None  # when it said so
    cut_out: tuple[float, str] | None = None


@dataclass
class Watched:
    """A chain that runs.

    + began: when, by the clock of all times here, in seconds
    + bad: by host, the digests that came with another content
    """

    parts: Sequence[Part]
    began: float
    bad: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._states = {part.host: _State(heard=self.began) for part in self.parts}
        self._digests = {item.blob.hex for part in self.parts for item in part.items}

    def say(self, host: str, line: str, now: float) -> int:
        """Take a line of a host's in; what is not known is passed over. Gives how many more bytes came."""
        if (state := self._states.get(host)) is None:
            return 0
        state.heard = now
        before = state.got
        match line.split(" ", 2):
            case ["at", count] if count.isdecimal() and len(count) <= 18:
                state.got, state.waits = max(before, int(count)), 0.0
            case ["waiting", count] if count.isdecimal() and len(count) <= 9:
                state.waits = float(count)
            case ["bad", digest] if digest in self._digests:
                self.bad.setdefault(host, set()).add(digest)
            case ["done"]:
                state.done = True
            case ["cut", "in"]:
                state.cut_in = now
            case ["cut", "out", why]:
                state.cut_out = (now, _printable(why))
            case ["error", *why]:
                state.error = _printable(" ".join(why))
        return state.got - before

    def end(self, host: str, why: str) -> None:
        """Its connection with the control node ended."""
        state = self._states.get(host)
        if state and not state.done:
            state.error = state.error or why

    @property
    def done(self) -> bool:
        """Whether all hosts are."""
        return all(state.done for state in self._states.values())

    def fault(self, now: float) -> Fault | None:
        """What is wrong, by what is known by now."""
        for host, state in self._states.items():
            if state.error is not None:
                return Fault(f"{host}: {state.error}", gone=host)
        for before, part in zip((None, *self.parts[:-1]), self.parts, strict=True):
            host, state = part.host, self._states[part.host]
            giver = self._states[before.host] if before else None
            ends = (before.host, host) if before else (host,)
            if giver and giver.cut_out and now - giver.cut_out[0] > _ENSUES_S:
                return Fault(f"{ends[0]}: cannot send to {host}: {giver.cut_out[1]}", suspects=ends)
            if state.cut_in is not None and now - state.cut_in > _ENSUES_S:
                return Fault(f"{host}: its connection from {self._named(before)} was cut", suspects=ends)
            if state.waits >= STALLED_S and self._can_give(before, part):
                why = f"{host}: got nothing from {self._named(before)} for {state.waits:.0f} s"
                return Fault(why, suspects=ends)
            if state.got < part.bytes and now - state.heard > SILENT_S:
                return Fault(f"{host}: said nothing for {now - state.heard:.0f} s", gone=host)
        return None

    def _can_give(self, before: Part | None, part: Part) -> bool:
        """Whether the host before has the byte that this one lacks next."""
        if before is None:
            return True
        number, offset = part.reached(self._states[part.host].got)
        if number == len(part.items):
            return False
        wanted = part.items[number].blob
        for place, item in enumerate(before.items):
            if item.blob == wanted:
                return item.taken is None or before.reached(self._states[before.host].got) > (place, offset)
        return True

    @staticmethod
    def _named(before: Part | None) -> str:
        return before.host if before else "the control node"


def _printable(words: str) -> str:
    return last_line(words.encode()) or "silently"
