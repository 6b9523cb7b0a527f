"""One chain, from its first connection to its end, whichever that is.

This process holds a connection to each host, over which that host hears its part and says how it goes. Where
this process ends, those end, and on every host all that was begun for the chain: nothing is left listening.
"""

from __future__ import annotations

import queue
import resource
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sealift.blob import Blob
from sealift.errors import SealiftError
from sealift.ship.chain import Part, Stage, fit, link
from sealift.ship.chain_files import Link, taking_and_giving
from sealift.ship.chain_session import FOLDER, Feeder, Said, Session
from sealift.ship.chain_suspects import Suspects
from sealift.ship.chain_watch import Fault, Outcome, Watched
from sealift.ship.pace import Pace
from sealift.ship.plan import Have, parse_listing
from sealift.ship.types import BlobPath
from sealift.ssh import Ssh

_READY_S = 30.0  # for a host to say what it has
_BEHIND_S = 4.0  # for the others when one has said it, or as long as that one took
_ALIVE_S = 5.0  # between words of this process to hosts, which end without one for a minute
_LISTENING_S = 15.0
_FEW = 1 / 4  # of a chain's hosts, that do not listen by their own fault
_ENDING_S = 10.0
_FILES, _FILES_OF_A_HOST = 256, 8  # that this process has open at most; a shell lets it have 1024


@dataclass(frozen=True)
class Member:
    """A host that may be in a chain.

    + link: how the host before it reaches it
    """

    ssh: Ssh
    link: Link


def run_chain(
    members: Mapping[str, Member],
    blobs: Sequence[Blob],
    known: Suspects,
    blob_path: BlobPath,
    came: Callable[[int], None],
    pace: Pace,
) -> Outcome:
    """Make a chain of what hosts lack by now, and see it through.

    + members: by name, in the inventory's order
    + known: what former chains taught
    + came: told of bytes that came to hosts, many times
    + pace: of the control node
    """
    said: Said = queue.SimpleQueue()
    _let_open(len(members) * _FILES_OF_A_HOST + _FILES)
    sessions = {name: Session(member.ssh, said) for name, member in members.items()}
    feeder: Feeder | None = None
    try:
        haves, lost = _listings(sessions, said)
        hosts = fit(Stage(tuple(haves), tuple(blobs)), haves)
        if not hosts:
            return Outcome(lost)
        limits = {host: members[host].link.rate for host in hosts if members[host].link.rate}
        parts = link(hosts, blobs, haves, known.last, limits)
        for name in sessions.keys() - set(hosts):
            sessions[name].hang_up()
        _hand_out(parts, members, sessions)
        watched = Watched(parts, time.monotonic(), limits, known.slow)
        if not _all_listen(parts, watched, said, sessions):
            return Outcome(lost, parts, watched.fault(time.monotonic()))
        for part, behind in zip(parts, (*parts[1:], None), strict=True):
            to = members[behind.host].link if behind else None
            sessions[part.host].say(f"go {to.address} {to.port}\n" if to else "go\n")
        if parts[0].bytes:
            feeder = Feeder(members[parts[0].host].ssh, parts[0], blob_path, (pace,))
        fault = _watch(watched, said, sessions, came, feeder)
        if feeder and feeder.error and fault:
            raise feeder.error
        for host in fault.gone if fault else ():
            sessions[host].cut()
        return Outcome(lost, parts, fault, watched.bad)
    finally:
        if feeder:
            feeder.kill()
        _end(sessions.values())


def _let_open(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))


def _listings(sessions: Mapping[str, Session], said: Said) -> tuple[Mapping[str, Have], dict[str, str]]:
    """What hosts have, and those that did not say it, with the reason."""
    lines: dict[str, list[str]] = {name: [] for name in sessions}
    haves: dict[str, Have] = {}
    lost: dict[str, str] = {}
    begun = time.monotonic()
    deadline = begun + _READY_S
    while len(haves.keys() | lost.keys()) < len(sessions):
        heard = _next(said, deadline, begun + _READY_S)
        if heard is None:
            waited = time.monotonic() - begun
            silent = [name for name in sessions if name not in haves | lost]
            lost |= dict.fromkeys(silent, f"no answer within {waited:.0f} s")
            for name in silent:
                sessions[name].cut()
            break
        host, line = heard
        if line is None or line.startswith("error "):
            lost[host] = lost.get(host) or (line or sessions[host].why_it_ended())
        elif line == "ready":
            try:
                haves[host] = parse_listing(host, lines[host])
            except SealiftError as error:
                lost[host] = str(error).removeprefix(f"{host}: ")
            now = time.monotonic()
            deadline = min(begun + _READY_S, now + max(_BEHIND_S, now - begun))
        else:
            lines[host].append(line)
    return {name: haves[name] for name in sessions if name in haves and name not in lost}, lost


def _next(said: Said, quiet: float, end: float) -> tuple[str, str | None] | None:
    """What a host says next; None where there is nothing, or the time is over.

    + quiet: from when on it is not waited any more, though what has come is taken
    + end: from when on nothing is taken: one that talks without end would keep all others waiting
    """
    now = time.monotonic()
    if now > end:
        return None
    try:
        return said.get(timeout=max(quiet - now, 0.01))
    except queue.Empty:
        return None


def _hand_out(parts: Sequence[Part], members: Mapping[str, Member], sessions: Mapping[str, Session]) -> None:
    """Tell each host its part, and give it the keys for it."""
    texts = {part.host: [_item_lines(part)] for part in parts}
    for before, part in pairwise(parts):
        at = members[part.host].link
        taking, giving = taking_and_giving(at, FOLDER)
        texts[part.host] += [*map(_file_lines, taking.items()), f"listen {at.address} {at.port}\n"]
        texts[before.host] += map(_file_lines, giving.items())
    for host, text in texts.items():
        sessions[host].say("".join((f"rate {members[host].link.rate}\n", *text)))


def _item_lines(part: Part) -> str:
    def word(offset: int | None) -> str:
        return "-" if offset is None else str(offset)

    return "".join(
        f"item {item.blob.hex} {item.blob.size} {word(item.taken)} {word(item.given)}\n"
        for item in part.items
    )


def _file_lines(file: tuple[str, str]) -> str:
    name, text = file
    return f"file {name}\n{text}.\n"


def _all_listen(parts: Sequence[Part], watched: Watched, said: Said, sessions: Mapping[str, Session]) -> bool:
    """Whether all that should do so listen in time; if not, `watched` knows whose fault it is."""
    due = {part.host for part in parts[1:]}
    deadline = time.monotonic() + _LISTENING_S
    while due:
        heard = _next(said, deadline, deadline)
        if heard is None:
            # Where more do not, it is hardly each one's fault, such as under load: one alone is left out.
            few = len(due) <= len(parts) * _FEW
            for host in due if few else [min(due)]:
                watched.end(host, f"does not listen within {_LISTENING_S:.0f} s")
            return False
        host, line = heard
        if line == "listening":
            due.discard(host)
            continue
        _take_in(watched, host, line, sessions)
        if watched.fault(time.monotonic()):
            return False
    return True


def _watch(
    watched: Watched,
    said: Said,
    sessions: Mapping[str, Session],
    came: Callable[[int], None],
    feeder: Feeder | None,
) -> Fault | None:
    """Until all hosts are done, or something is wrong."""
    spoke = 0.0
    while not watched.done:
        if time.monotonic() - spoke > _ALIVE_S:
            spoke = time.monotonic()
            for part in watched.parts:
                sessions[part.host].say("alive\n")
        try:
            host, line = said.get(timeout=0.5)
        except queue.Empty:
            pass
        else:
            came(_take_in(watched, host, line, sessions))
        if feeder and feeder.cut:
            watched.cut(time.monotonic())
        if fault := watched.fault(time.monotonic()):
            return fault
    return None


def _take_in(watched: Watched, host: str, line: str | None, sessions: Mapping[str, Session]) -> int:
    """Take in what a host says, or its end. Gives how many more bytes came there."""
    if line is None:
        watched.end(host, sessions[host].why_it_ended())
        return 0
    return watched.say(host, line, time.monotonic())


def _end(sessions: Collection[Session]) -> None:
    for session in sessions:
        session.hang_up()
    deadline = time.monotonic() + _ENDING_S
    for session in sessions:
        session.wait(deadline - time.monotonic())
