"""What `apply` would change, shown before it does: what differs, and each text file line by line.

No secret is shown: keys of clients and private keys stand as ***.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from sealift.drift.status import HostStatus, fleet_status
from sealift.errors import printable
from sealift.facts.docker import CONTAINERD_TOML, DAEMON_JSON
from sealift.fleet.survey import Target
from sealift.host.daemon_json import daemon_json
from sealift.host.generation import LIVE
from sealift.host.gpus import GPU
from sealift.host.record import MANIFESTS, RESTORE
from sealift.host.wanted import Wanted
from sealift.host_paths import CURRENT
from sealift.services import TLS
from sealift.ssh import on_all

_FILES = Path(__file__).parents[2] / "files"
_LIMIT = 1 << 20  # bytes of a file that is shown
_MARK = "sealift-file="
_SECRET = re.compile(r'(\bkey: )("[^"]*"|[^\s,}]+)')  # of a client, in the gateway's configuration
_LOGIN = re.compile(r"(?<=://)[^/\s\"]*@")  # of a proxy, in daemon.json
_HIDDEN = (f"{LIVE}/{TLS}",)  # files that are secret as a whole


@dataclass(frozen=True)
class Plan:
    """What would change on a host.

    + differs: a line per difference
    + diffs: of text files, as unified diffs
    + error: why nothing is known; empty where it is
    """

    differs: tuple[str, ...]
    diffs: tuple[str, ...]
    error: str


def plan(found: tuple[Target, ...], wanted: Mapping[str, Wanted]) -> Mapping[str, Plan]:
    """Ask all hosts what would change there. Changes nothing.

    + wanted: what each is to be, by its name
    """
    return plan_of(found, wanted, {status.host: status for status in fleet_status(found, bare=True)})


def plan_of(
    found: tuple[Target, ...], wanted: Mapping[str, Wanted], statuses: Mapping[str, HostStatus]
) -> Mapping[str, Plan]:
    """The same of hosts that were asked already: only those that differ are asked for their files.

    + statuses: what each said, bare ones too
    """
    changing = {t.host.name: t for t in found if statuses[t.host.name].differs}
    read = on_all(list(changing), lambda name: _read(changing[name], wanted[name]))
    return {
        name: Plan(
            status.differs + _consequences(status.differs),
            tuple(diffs(read.results.get(name, {}), texts(wanted[name]))) if status.differs else (),
            status.error or str(read.errors.get(name, "")),
        )
        for name, status in statuses.items()
        if name in wanted or status.error
    }


def with_damaged(planned: Mapping[str, Plan], damaged: Mapping[str, tuple[str, ...]]) -> Mapping[str, Plan]:
    """The same with the blobs that would be shipped again.

    + damaged: a line each, by host
    """
    return {
        host: replace(each, differs=each.differs + damaged.get(host, ())) for host, each in planned.items()
    }


def _consequences(differs: Sequence[str]) -> tuple[str, ...]:
    """What is restarted because of what differs."""
    restarts = {DAEMON_JSON: "docker.service", CONTAINERD_TOML: "containerd.service"}
    return tuple(
        f"{unit} restarts, to read {path}"
        for path, unit in restarts.items()
        if any(line.startswith(path) for line in differs)
    )


def texts(wanted: Wanted) -> dict[str, str]:
    """The text files of a host that people edit, as they are to be, by path; secrets hidden."""
    files = {
        f"{CURRENT}/{path}": file.content
        for path, file in wanted.generation.files.items()
        if path != RESTORE and not path.startswith(f"{MANIFESTS}/")  # which people do not edit
    }
    files[CONTAINERD_TOML] = (_FILES / "containerd/config.toml").read_bytes()
    if GPU not in wanted.groups:  # else NVIDIA's tool has the last word
        files[DAEMON_JSON] = daemon_json(wanted.settings.docker).encode()
    return {path: hidden(path, content) for path, content in files.items()}


def hidden(path: str, content: bytes) -> str:
    """A file's text without what is secret."""
    if path.endswith(_HIDDEN):
        return "***\n"
    return _LOGIN.sub("***@", _SECRET.sub(r"\1***", printable(content.decode(errors="replace"))))


def diffs(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """A unified diff of each text file that differs.

    + before: as they are on the host, by path; a file that is not there is left out
    + after: as they are to be
    """
    for path, text in sorted(after.items()):
        old = before.get(path, "")
        lines = difflib.unified_diff(
            old.splitlines(),
            text.splitlines(),
            path if path in before else "/dev/null",
            path,
            n=1,
            lineterm="",
        )
        shown = "\n".join(lines)
        if shown:
            yield shown


def _read(target: Target, wanted: Wanted) -> Mapping[str, str]:
    """The same files as a host has them now; secrets hidden."""
    asked = "\n".join(
        f"if [ -f {path} ]; then echo {_MARK}{path}; head -c {_LIMIT} {path} | base64 -w0; echo; fi"
        for path in map(shlex.quote, texts(wanted))
    )
    lines = target.host.ssh.run_long(asked).splitlines()
    found: dict[str, str] = {}
    for mark, encoded in pairwise(lines):
        if mark.startswith(_MARK):
            try:
                content = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                continue  # shown as missing
            path = mark.removeprefix(_MARK)
            found[path] = hidden(path, content)
    return found
