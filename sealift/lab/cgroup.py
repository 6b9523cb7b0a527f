"""The lab's processes, by the cgroups that they were started in.

The kernel keeps this account, whatever crashed: a process cannot leave its cgroup by forking, and a cgroup's
name, unlike a recorded process id, never comes to mean somebody else's process. Each host has a cgroup of its
own for another reason too: systemd-nspawn puts hosts that were started in the same cgroup into the same
`payload`, where one host's systemd would end another's services.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from sealift.errors import SealiftError
from sealift.lab.layout import Lab, LabHost

# Joins the cgroups given before `--`, then becomes the command after it. Writing 0 moves the writer.
_JOIN = 'while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs"; shift; done; shift; exec "$@"'


@dataclass(frozen=True)
class Cgroup:
    """A cgroup: its folder in the unified hierarchy, and in systemd's legacy one where the machine has it."""

    folders: tuple[Path, ...]

    def child(self, name: str) -> Cgroup:
        """A cgroup in this one."""
        return Cgroup(tuple(folder / name for folder in self.folders))

    def make(self) -> None:
        """Make its folders where they are missing."""
        for folder in self.folders:
            folder.mkdir(parents=True, exist_ok=True)

    def joined_by(self, command: list[str]) -> list[str]:
        """The command that runs `command` in this cgroup."""
        return ["sh", "-ec", _JOIN, "join", *map(str, self.folders), "--", *command]

    def pids(self) -> list[int]:
        """Every process in it or below it."""
        found: list[int] = []
        for folder, _, _ in os.walk(self.folders[0]):
            try:
                found += [int(pid) for pid in (Path(folder) / "cgroup.procs").read_text().split()]
            except OSError:  # a cgroup that went away meanwhile has no processes
                continue
        return found

    def kill(self, grace_s: float = 10) -> None:
        """SIGKILL all of its processes, and remove its folders.

        + grace_s: seconds until the kernel must have ended them

        Raises SealiftError where some process stays.
        """
        killer = self.folders[0] / "cgroup.kill"
        if killer.exists():
            killer.write_text("1")
        deadline = time.monotonic() + grace_s
        while self.pids():
            if time.monotonic() > deadline:
                raise SealiftError(
                    f"{self.folders[0]}: processes {self.pids()} do not end, expected none after SIGKILL. "
                    "Look for stuck disk or network mounts, then run this again."
                )
            time.sleep(0.05)
        for folder in self.folders:
            _remove(folder, deadline)


def lab_cgroup(lab: Lab) -> Cgroup:
    """The cgroup of everything that a lab runs.

    Raises SealiftError where the machine has no unified cgroup hierarchy.
    """
    roots = hierarchies(Path("/proc/self/mounts").read_text())
    if not roots:
        raise SealiftError("/sys/fs/cgroup: no cgroup2 is mounted, expected one. Use Debian 12 or newer.")
    return Cgroup(tuple(root / lab.namespace for root in roots))


def host_cgroup(host: LabHost) -> Cgroup:
    """The cgroup of one host: systemd-nspawn and all that runs in it."""
    return lab_cgroup(host.lab).child(host.name)


def hierarchies(mounts: str) -> tuple[Path, ...]:
    """Mount points of the unified hierarchy, first, and of systemd's legacy one. Nothing without the first.

    + mounts: as in /proc/self/mounts, proc_mounts(5)
    """
    entries = [line.split() for line in mounts.splitlines()]
    unified = [Path(entry[1]) for entry in entries if entry[2] == "cgroup2"][:1]
    legacy = [
        Path(entry[1]) for entry in entries if entry[2] == "cgroup" and "name=systemd" in entry[3].split(",")
    ]
    return tuple(unified + legacy[:1]) if unified else ()


def supervisor(host: LabHost) -> int | None:
    """The process id of a host's systemd-nspawn, None where the host is not running."""
    for pid in host_cgroup(host).pids():
        try:
            if Path(f"/proc/{pid}/comm").read_text() == "systemd-nspawn\n":
                return pid
        except (FileNotFoundError, ProcessLookupError):
            continue
    return None


def memory_kib(host: LabHost) -> int:
    """The memory that a host's processes take, shared pages divided among those who share them, in KiB."""
    total = 0
    for pid in host_cgroup(host).pids():
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total


def _remove(folder: Path, deadline: float) -> None:
    for path, _, _ in os.walk(folder, topdown=False):
        while True:
            try:
                Path(path).rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:  # busy for a moment after its last process has ended
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
