"""What is learnt of one chain for the next: whom to leave out, and whom to put at the end. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sealift.ship.chain import Part
from sealift.ship.chain_watch import Fault, Outcome

_SUSPICIONS = 2  # faults that a host was one end of: it takes two to tell which end it was
_SLOW_LINKS = 3  # for which a chain is made anew: it takes seconds each time
_VERY_LAST = 1000  # behind all that are put at the end by one fault or another
# Of a blob that the control node sends with another content: then it is left to SSH, which says so.
_DEPOT_TRIES = 2


@dataclass
class Suspects:
    """What is known of hosts.

    + out: those that are in no further chain, and why
    + notes: what else there is to say of some
    + last: those to be put at the end, the largest number last
    + slow: those that a slow link is not news of
    """

    out: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    last: Counter[str] = field(default_factory=Counter)
    slow: set[str] = field(default_factory=set)
    _slow: Counter[str] = field(default_factory=Counter)
    _suspicions: Counter[str] = field(default_factory=Counter)
    _from_depot: Counter[str] = field(default_factory=Counter)
    _own_bytes: set[tuple[str, str]] = field(default_factory=set)

    def learn(self, outcome: Outcome) -> bool:
        """Take in what became of a chain. Gives whether another one may do better."""
        self.out |= outcome.lost
        if not outcome.order:
            return False
        if fault := outcome.fault:
            self.out |= fault.gone
            if fault.slow:
                self._put_back(fault, outcome.order)
            else:
                # The giver goes behind the taker: in the next chain it gives that one nothing.
                for place, host in enumerate(reversed(fault.suspects)):
                    self._suspect(host, 1 + place, fault.why)
        again = [self._blame(outcome, digest) for digest in sorted(set().union(*outcome.bad.values()))]
        return bool(fault) or any(again)

    def _put_back(self, fault: Fault, order: Sequence[Part]) -> None:
        """Have a slow link hold up fewer: of two that have an end in common, it is that end's."""
        self._slow.update(fault.suspects)
        found = [host for host in fault.suspects if self._slow[host] >= _SUSPICIONS]
        for place, host in enumerate(found or reversed(fault.suspects)):
            self.last[host] += _VERY_LAST if found else 1 + place
            self.notes[host] = fault.why
        self.slow.update(found)
        if self._slow.total() >= _SLOW_LINKS * 2:
            self.slow.update(part.host for part in order)

    def _blame(self, outcome: Outcome, digest: str) -> bool:
        """Find who sent a bad blob: the one before the first that got it. Gives whether to send it again."""
        at = next(n for n, part in enumerate(outcome.order) if digest in outcome.bad.get(part.host, ()))
        if _began_with_own_bytes(outcome.order[at], digest):
            host = outcome.order[at].host
            if (host, digest) in self._own_bytes:
                self.out[host] = f"had other bytes than those of sha256:{digest}, and has them again"
            self._own_bytes.add((host, digest))
            return True  # what it had of the blob may have been the rotten part; it is gone now
        if at == 0:
            self._from_depot[digest] += 1
            return self._from_depot[digest] < _DEPOT_TRIES
        sender = outcome.order[at - 1].host
        why = f"sent other bytes than those of sha256:{digest} to {outcome.order[at].host}"
        self.notes[sender] = why
        self._suspect(sender, 2, f"{sender}: {why}")
        return True

    def _suspect(self, host: str, last: int, why: str) -> None:
        self.last[host] += last
        self._suspicions[host] += 1
        if self._suspicions[host] >= _SUSPICIONS:
            self.out[host] = why


def _began_with_own_bytes(part: Part, digest: str) -> bool:
    return any(item.blob.hex == digest and bool(item.taken) for item in part.items)
