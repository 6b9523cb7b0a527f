"""The rollout lock on hosts, where a second control node sees that another one is at work.

The depot's own lock (`wave.one_rollout`) is for all who share a depot. A host's is a file with its owner's
name, which holds while connections come and go. Only a rollout that was cut off leaves one behind; the next
one out of the same depot takes it over, for it holds the depot's lock, so no other of its kind is running.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sealift.errors import SealiftError, one_line
from sealift.host.key_values import key_values
from sealift.host_paths import ROOT
from sealift.ssh import Ssh, on_all

LOCK = f"{ROOT}/rollout.lock"  # `KEY NAME, since WHEN`; probe.sh shows it
_MACHINE = Path("/etc/machine-id")

# $1: the lock, $2: key, $3: name of who takes it. Source: ln(1) makes a link in one step, or none.
_TAKE = """\
set -eu
umask 022
mkdir -p "$(dirname "$1")"
trap 'rm -f "$1.$$"' EXIT
printf '%s %s, since %s UTC\n' "$2" "$3" "$(date -u '+%F %T')" >"$1.$$"
if ln "$1.$$" "$1" 2>/dev/null; then echo taken=; exit; fi
held=$(cat "$1" 2>/dev/null || :)
case $held in
    "$2 "*) mv -f "$1.$$" "$1"; echo taken=again ;;
    *) echo "held=$held" ;;
esac
"""
_FREE = 'case $(cat "$1" 2>/dev/null) in "$2 "*) rm -f "$1" ;; esac'


class _HeldError(SealiftError):
    """Another rollout has a host's lock."""


@dataclass(frozen=True)
class Owner:
    """Who rolls out: a depot of a control node.

    + key: a word that is the same for each rollout out of this depot, and for no other
    + name: for people
    """

    key: str
    name: str


def owner(depot: Path) -> Owner:
    """Who this process is to the hosts."""
    machine = _MACHINE.read_text() if _MACHINE.exists() else ""
    node, folder = platform.node(), depot.resolve()
    key = hashlib.sha256(f"{machine}\n{node}\n{folder}".encode()).hexdigest()[:16]
    user = os.environ.get("SUDO_USER") or os.environ.get("USER") or f"user {os.getuid()}"
    return Owner(key, one_line(f"{user} on {node} out of {folder}"))


def lock_problem(ssh: Ssh, held: str, ours: Owner) -> str | None:
    """Why a host must not be touched now.

    + held: the line in its lock; empty where there is none
    """
    key, _, name = held.partition(" ")
    if not held or key == ours.key:
        return None
    remove = shlex.join([*(["sudo"] if ssh.sudo else []), "rm", LOCK])
    return (
        f"{ssh.host}: another rollout is running there, by {name or 'an unknown one'}, expected one at a "
        "time. Wait for it. If it was killed, and its control node will not run it again, remove its lock: "
        f"ssh -F {shlex.quote(str(ssh.config))} {shlex.quote(ssh.host)} {remove}"
    )


@contextmanager
def hosts_held(
    hosts: Sequence[Ssh], ours: Owner, lost_too: bool = False, unfinished: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Hold the locks of hosts, all or none. The depot's is held already.

    + lost_too: whether hosts that do not answer may be among them; their locks are not held
    + unfinished: whether hosts wait for us to go on, in the end: then nobody else may touch them

    Raises SealiftError with a line for each host that another rollout holds, or that does not answer.
    """
    by_name = {ssh.host: ssh for ssh in hosts}
    try:
        taken = on_all(list(by_name), lambda name: _take(by_name[name], ours))
        if not lost_too or any(isinstance(error, _HeldError) for error in taken.errors.values()):
            taken.all()
        yield
    finally:
        # A host that is gone by now keeps its lock, for our next rollout.
        if not unfinished():
            on_all(list(by_name), lambda name: by_name[name].run(_FREE, LOCK, ours.key))


@contextmanager
def host_held(ssh: Ssh, ours: Owner) -> Iterator[None]:
    """Hold the lock of one host. The depot's is held already. What was locked by us before, stays so.

    Raises SealiftError where another rollout holds it, or the host does not answer.
    """
    kept = _take(ssh, ours)
    try:
        yield
    finally:
        if not kept:
            on_all([ssh.host], lambda _: ssh.run(_FREE, LOCK, ours.key))


@contextmanager
def held_already(_: Ssh, __: Owner) -> Iterator[None]:
    """In place of `host_held`, for who holds the locks of all hosts for as long as it lasts."""
    yield


def _take(ssh: Ssh, ours: Owner) -> bool:
    """Gives whether it was ours before."""
    said = key_values(ssh.run(_TAKE, LOCK, ours.key, ours.name))
    if "taken" not in said:
        held = said.get("held", [""])[0] or "?"
        raise _HeldError(lock_problem(ssh, held, ours) or f"{ssh.host}: does not give its lock. Try again.")
    return "again" in said["taken"]
