"""The generations of hosts: what each could go back to, and that it does so unless it is confirmed in time.

What hosts do by themselves is in `generations.sh` here and in `sealift/host/restore.sh`. The locks of the
depot and of hosts are held by whoever calls what changes something.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Annotated

from pydantic import AfterValidator, ValidationError

from sealift.errors import SealiftError, one_line, printable
from sealift.files import parse_json
from sealift.host.garbage import GARBAGE, OURS, REMOVE
from sealift.host.key_values import key_values
from sealift.host_paths import ROOT
from sealift.release.values import MOST_NAMED, Foreign
from sealift.site.inventory import Host
from sealift.ssh import Gathered, on_all

_SCRIPT = resources.files("sealift.fleet").joinpath("generations.sh").read_text()
_REMOVE = f"xargs -r -d '\\n' sh -c {shlex.quote(REMOVE)} sealift"
SHORT_S = 10  # as long as ssh waits for a connection
_ID = re.compile(r"[0-9a-f]{12}")
_Text = Annotated[str, AfterValidator(printable)]
_GOING_BACK_S = 3600  # images are loaded, and each service may take three minutes until it is healthy
_REMOVING_S = 600


@dataclass(frozen=True)
class Kept:
    """A generation that a host has.

    + release: NAME:VERSION
    + bundle: digest of the bundle that brought it
    + placed: when it came to the host
    + restorable: whether it has a record, by which the host can go back to it; an older sealift made none
    """

    id: str
    release: str
    bundle: str
    placed: datetime
    restorable: bool


@dataclass(frozen=True)
class Stands:
    """The generations of a host.

    + current: in force; None on a bare host
    + previous: the last good one before it; as `current` on a host that went back
    + armed: whether the host goes back by itself unless `current` is confirmed
    + within_s: seconds that it was armed for; None where it is not armed
    + unconfirmed: whether `current` has not proved itself: it is armed, or an apply was killed
    + returned: when the host went back since it was armed last, and to which id; empty where it did not
    """

    current: Kept | None
    previous: Kept | None
    kept: tuple[Kept, ...]
    armed: bool = False
    within_s: int | None = None
    unconfirmed: bool = False
    returned: str = ""

    def back(self, to: str | None = None) -> Kept | None:
        """What the host can go back to; None where it cannot.

        + to: a generation's id; else the last good one
        """
        found = self.previous if to is None else next((each for each in self.kept if each.id == to), None)
        return found if found and found.restorable else None


def stands(hosts: Sequence[Host], timeout_s: float = 60) -> Gathered[Stands]:
    """Ask all hosts at once for their generations. Changes nothing.

    + timeout_s: seconds for each host; `SHORT_S` where one that does not say it is only left out
    """
    by_name = {host.name: host.ssh for host in hosts}
    return on_all(
        list(by_name),
        lambda name: parse_stands(name, by_name[name].run(_SCRIPT, ROOT, "stands", timeout_s=timeout_s)),
    )


def arm(hosts: Sequence[Host], within_s: int) -> Gathered[str]:
    """Have hosts go back by themselves after so many seconds, unless they are confirmed.

    The generation in force becomes the one to go back to. On a host that is armed already, that one stays,
    and the time begins anew. On a bare host nothing is done.

    + within_s: seconds; after a reboot they are counted anew
    """
    return _tell(hosts, "arm", str(within_s))


def keep(hosts: Sequence[Host], within_s: int) -> Gathered[str]:
    """Have hosts that are armed wait so many seconds more. One that went back by itself is an error."""
    return _tell(hosts, "keep", str(within_s))


def confirm(hosts: Sequence[Host]) -> Gathered[str]:
    """The generations in force are the good ones: hosts stay on them, and lose what is of older ones.

    Each keeps one to go back to. A host that went back by itself is an error; what could not be removed is
    none, for it is confirmed then: the next apply removes it.
    """
    by_name = {host.name: host.ssh for host in hosts}

    def confirmed(name: str) -> str:
        ssh = by_name[name]
        ssh.run(_SCRIPT, ROOT, "confirm")
        try:
            unneeded = [line.partition(" ")[2] for line in ssh.run(GARBAGE, ROOT).splitlines()]
            paths = "".join(f"{path}\n" for path in unneeded if OURS.fullmatch(path))
            ssh.run_with(_REMOVE, paths.encode(), timeout_s=_REMOVING_S)
        except SealiftError as error:
            return f"older generations were not removed: {one_line(str(error))}"
        return f"{len(paths.splitlines())} generations, repositories and blobs were removed"

    return on_all(list(by_name), confirmed)


def go_back(hosts: Sequence[Host], to: str | None = None) -> Gathered[str]:
    """Have hosts be what a generation was, now, and stay so; gives what each did, in lines.

    A host goes on with it where the connection is cut, and after a reboot. A second time changes nothing.

    + to: a generation's id; else the last good one of each host
    """
    return _tell(hosts, "go_back", *([to] if to else []), timeout_s=_GOING_BACK_S)


def _tell(hosts: Sequence[Host], *asked: str, timeout_s: float = 60) -> Gathered[str]:
    by_name = {host.name: host.ssh for host in hosts}
    return on_all(
        list(by_name), lambda name: printable(by_name[name].run(_SCRIPT, ROOT, *asked, timeout_s=timeout_s))
    )


class _Release(Foreign):
    release: _Text
    bundle: _Text


def parse_stands(host: str, said: str) -> Stands:
    """Parse what a host prints of its generations. Raises SealiftError where it is not whole."""
    found = key_values(said)
    kept = {each.id: each for each in (_kept(host, line) for line in found.get("generation", []))}
    links = {link: found[link][0] for link in ("current", "previous") if link in found}
    armed = found.get("armed", ["0"])[0]
    if "end" not in found or not re.fullmatch("[0-9]{1,9}", armed):
        raise _unread(host)
    if not set(links.values()) <= kept.keys():
        raise _unread(host)
    return Stands(
        current=kept.get(links.get("current", "")),
        previous=kept.get(links.get("previous", "")),
        kept=tuple(kept.values()),
        armed="armed" in found,
        within_s=int(armed) if "armed" in found else None,
        unconfirmed="armed" in found or "unconfirmed" in found,
        returned=one_line(found.get("returned", [""])[0])[:100],
    )


def _kept(host: str, line: str) -> Kept:
    name, placed, restorable, release = [*line.split(" ", 3), "", "", ""][:4]
    if not _ID.fullmatch(name) or not re.fullmatch("[0-9]{1,11}", placed):
        raise _unread(host)
    try:
        of = _Release.model_validate(
            parse_json(release.encode(), f"{host}: release.json of generation {name}", keys=MOST_NAMED)
        )
    except ValidationError:
        raise _unread(host) from None
    when = datetime.fromtimestamp(int(placed), UTC)
    return Kept(name, of.release, of.bundle, when, restorable == "yes")


def _unread(host: str) -> SealiftError:
    return SealiftError(f"{host}: its generations cannot be read, expected whole ones. Run sealift apply.")
