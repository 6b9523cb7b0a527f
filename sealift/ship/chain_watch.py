"""What a running chain's hosts say, and what is wrong with it. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sealift.ship.chain import Part
from sealift.ssh import last_line

STALLED_S = 6.0  # that a host waits for bytes which the one before it has
SILENT_S = 6.0  # that a host says nothing; it says something every second, whatever it does
SLOW_S = 15.0  # over which a link's rate is taken
LEAST_RATE = 5_000  # bytes per second: a link below it carries as good as nothing
SLOW_SHARE = 0.15  # of the best link's rate at the same time: one below it holds up the hosts behind it
_ENSUES_S = 2.0  # until what a fault brings with it is heard, such as the death of the host that caused it


@dataclass(frozen=True)
class Fault:
    """Why a chain cannot go on.

    + gone: hosts that are out of it, and why
    + suspects: otherwise the two ends of a link that carries too little; the control node is none
    + why: it is they
    + slow: whether it carries something: then nobody is out of it, but holds up others no more
    """

    gone: Mapping[str, str] = field(default_factory=dict)
    suspects: tuple[str, ...] = ()
    why: str = ""
    slow: bool = False


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
    course: deque[tuple[float, int]] = field(default_factory=deque)  # when it had got how much, lately

    def now_at(self, now: float) -> None:
        """It takes bytes, or would."""
        self.course.append((now, self.got))
        while now - self.course[0][0] > SLOW_S and now - self.course[1][0] >= SLOW_S:
            self.course.popleft()

    @property
    def rate(self) -> float | None:
        """Bytes per second of late; None where that is not known yet."""
        if not self.course or (span := self.course[-1][0] - self.course[0][0]) < SLOW_S:
            return None
        return (self.course[-1][1] - self.course[0][1]) / span


@dataclass
class Watched:
    """A chain that runs.

    + began: when, by the clock of all times here, in seconds
    + limits: bytes per second that a host takes and gives at most, of those that have a limit
    + known_slow: hosts that a slow link is not news of: they are where they hold up fewest
    + bad: by host, the digests that came with another content
    """

    parts: Sequence[Part]
    began: float
    limits: Mapping[str, int] = field(default_factory=dict)
    known_slow: Collection[str] = ()
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
                state.now_at(now)
            case ["waiting", count] if count.isdecimal() and len(count) <= 9:
                state.waits = float(count)
                state.now_at(now)
            case ["busy"]:
                state.course.clear()
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

    def cut(self, now: float) -> None:
        """The control node's connection with the first host ended, over which that gets its bytes."""
        first = self.parts[0]
        if self._can_give(None, first):
            self._states[first.host].cut_in = self._states[first.host].cut_in or now

    @property
    def done(self) -> bool:
        """Whether all hosts are."""
        return all(state.done for state in self._states.values())

    def fault(self, now: float) -> Fault | None:
        """What is wrong, by what is known by now."""
        if gone := self._gone(now):
            return Fault(gone)
        for place, part in enumerate(self.parts):
            before = self.parts[place - 1] if place else None
            if fault := self._cut(before, part, now) or self._slow(place, before, part):
                return fault
        return None

    def _gone(self, now: float) -> Mapping[str, str]:
        silent = {h: now - state.heard for h, state in self._states.items() if not state.done}
        # Those that fell silent with the first one did so for the same reason.
        least = SILENT_S - _ENSUES_S if any(s > SILENT_S for s in silent.values()) else SILENT_S
        gone = {h: f"{h}: said nothing for {s:.0f} s" for h, s in silent.items() if s > least}
        failed = {h: f"{h}: {state.error}" for h, state in self._states.items() if state.error is not None}
        return gone | failed

    def _cut(self, before: Part | None, part: Part, now: float) -> Fault | None:
        """A link that carries nothing."""
        host, state = part.host, self._states[part.host]
        giver = self._states[before.host] if before else None
        ends = _ends(before, part)
        if giver and giver.cut_out and now - giver.cut_out[0] > _ENSUES_S:
            why = f"{ends[0]}: cannot send to {host}: {giver.cut_out[1]}"
        elif state.cut_in is not None and now - state.cut_in > _ENSUES_S:
            why = f"{host}: its connection from {_named(before)} was cut"
        elif state.waits >= STALLED_S and self._can_give(before, part):
            why = f"{host}: got nothing from {_named(before)} for {state.waits:.0f} s"
        else:
            return None
        return Fault(suspects=ends, why=why)

    def _slow(self, place: int, before: Part | None, part: Part) -> Fault | None:
        """A link that carries little, though the host before has what this one lacks."""
        rate = self._states[part.host].rate
        if rate is None or self._states[part.host].done or not self._can_give(before, part):
            return None
        ends = _ends(before, part)
        said = f"{part.host}: got {rate / 1e6:.2f} MB/s from {_named(before)}"
        if rate < LEAST_RATE:
            return Fault(suspects=ends, why=said)
        best = max(state.rate or 0.0 for state in self._states.values() if not state.done)
        limit = min([best, *(self.limits[host] for host in ends if host in self.limits)])
        held_up = any(not self._states[behind.host].done for behind in self.parts[place + 1 :])
        if before and held_up and part.host not in self.known_slow and rate < SLOW_SHARE * limit:
            return Fault(suspects=ends, why=f"{said}, while others got {best / 1e6:.2f}", slow=True)
        return None

    def _can_give(self, before: Part | None, part: Part) -> bool:
        """Whether the host before has the byte that this one lacks next."""
        number, offset = part.reached(self._states[part.host].got)
        if number == len(part.items):
            return False
        if before is None:
            return True
        wanted = part.items[number].blob
        for place, item in enumerate(before.items):
            if item.blob == wanted:
                return item.taken is None or before.reached(self._states[before.host].got) > (place, offset)
        return True


def _ends(before: Part | None, part: Part) -> tuple[str, ...]:
    return (before.host, part.host) if before else (part.host,)


def _named(before: Part | None) -> str:
    return before.host if before else "the control node"


def _printable(words: str) -> str:
    return last_line(words.encode()) or "silently"
