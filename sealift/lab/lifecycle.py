"""A lab as a whole: brought up, looked at, taken down. Each works on whatever a crash has left."""

from __future__ import annotations

import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sealift.errors import SealiftError
from sealift.files import locked, write_if_changed
from sealift.lab import layout
from sealift.lab.cgroup import lab_cgroup, memory_kib, supervisor
from sealift.lab.host import boot, end, host_key, prepare_disks
from sealift.lab.layout import Lab, LabHost, Machines, known_machines
from sealift.lab.machine import raise_limits, require_machine, require_root
from sealift.lab.network import ensure_network, remove_network
from sealift.lab.relay import answers, ensure_relay
from sealift.lab.root import CONTROL_PACKAGES, PACKAGES, SUITE, DebianSuite, ensure_root
from sealift.lab.site import ensure_control_site, ensure_site
from sealift.progress import Progress

_DEFAULT_HOSTS = 3
_BOOT_S = 60
_SHUTDOWN_S = 20
# What `systemctl is-system-running` says once a boot has ended, well or not. Source: systemctl(1).
_BOOTED = ("running", "degraded", "maintenance")


@dataclass(frozen=True)
class LabHostStatus:
    """A host as it is found."""

    name: str
    address: str
    up: bool
    state: str
    memory_mib: int


def up(
    lab: Lab,
    count: int | None,
    control: bool | None,
    suite: DebianSuite | None,
    cache: Path,
    progress: Progress,
) -> tuple[str, ...]:
    """Bring a lab up; hosts that are up stay as they are.

    + count: of hosts; None keeps what there is, or makes three
    + control: whether there is a control node; None keeps what there is, or makes one
    + suite: of Debian; None keeps what there is, or makes trixie
    + cache: where Debian roots are kept
    + progress: told of each step

    Returns the names of the hosts that had to be booted. Raises SealiftError where the machine lacks
    something, the folder is not a lab's, or a host does not come up.
    """
    require_machine(lab)
    raise_limits()
    with locked(lab.state, lambda: progress("waiting for another run on this lab", 0, 0)):
        _require_own_folder(lab)
        machines = _wanted(lab, count, control, suite)
        write_if_changed(lab.hosts_json, layout.hosts_json(machines))
        roots = {
            kind: ensure_root(cache, machines.suite, CONTROL_PACKAGES if kind else PACKAGES, progress)
            for kind in {host.is_control for host in machines.all}
        }
        progress("making keys, certificates and the closed network", 0, 0)
        ensure_site(machines.hosts)
        keys = {host: host_key(host) for host in machines.all}
        write_if_changed(lab.known_hosts, layout.known_hosts(keys))
        write_if_changed(lab.ssh_config, layout.ssh_config(machines))
        if machines.control:
            ensure_control_site(machines)
        ensure_network(lab)
        stopped = [host for host in machines.all if supervisor(host) is None]
        for host in stopped:
            progress(f"booting {host.name}", 0, 0)
            prepare_disks(host)
            boot(host, roots[host.is_control])
        for host in machines.hosts:
            ensure_relay(host)
        with ThreadPoolExecutor(len(machines.all)) as pool:
            list(pool.map(_wait_for, machines.all))
    return tuple(host.name for host in stopped)


def down(lab: Lab, keep: bool, progress: Progress) -> None:
    """Take a lab down without leaving a trace.

    + keep: leave the state folder: the hosts' disks, keys and the depot
    + progress: told of each step

    Raises SealiftError where the folder is not a lab's, or something is mounted in it.
    """
    require_root()
    with locked(lab.state, lambda: progress("waiting for another run on this lab", 0, 0)):
        _require_own_folder(lab)
        machines = known_machines(lab)
        if machines:
            progress(f"shutting {len(machines.all)} hosts down", 0, 0)
            with ThreadPoolExecutor(len(machines.all)) as pool:
                list(pool.map(lambda host: end(host, _SHUTDOWN_S), machines.all))
        lab_cgroup(lab).kill()
        remove_network(lab)
        if not keep or not machines:
            progress("removing the lab's state", 0, 0)
            _remove_state(lab)


def status(lab: Lab) -> tuple[LabHostStatus, ...]:
    """How each host is.

    Raises SealiftError where there is no lab.
    """
    machines = require_lab(lab)
    with ThreadPoolExecutor(len(machines.all)) as pool:
        return tuple(pool.map(_status_of, machines.all))


def require_lab(lab: Lab) -> Machines:
    """What the lab is made of.

    Raises SealiftError where there is no lab.
    """
    machines = known_machines(lab)
    if machines is None:
        raise SealiftError(
            f"{lab.state}: no lab is here, expected one. Run sealift lab up, or set SEALIFT_LAB."
        )
    return machines


def system_state(host: LabHost, *, wait: bool) -> str:
    """What systemd on a host says of itself; empty where the host does not answer.

    + wait: until it has booted
    """
    command = ["systemctl", "is-system-running", *(["--wait"] if wait else [])]
    try:
        done = subprocess.run(
            ["ssh", "-F", str(host.lab.ssh_config), "-o", "ConnectTimeout=3", host.name, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_BOOT_S,
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip()


def _wanted(lab: Lab, count: int | None, control: bool | None, suite: DebianSuite | None) -> Machines:
    known = known_machines(lab) or Machines(lab, 0, False, suite or SUITE)
    wanted = count or known.count or _DEFAULT_HOSTS
    if wanted < known.count:
        raise SealiftError(
            f"{lab.state}: the lab has {known.count} hosts, {wanted} were asked for. Leave --hosts out, or "
            "make a smaller lab beside it: SEALIFT_LAB=FOLDER sealift lab up."
        )
    if known.control and control is False:
        raise SealiftError(
            f"{lab.state}: the lab has a control node, none was asked for. Run sealift lab down first."
        )
    if suite not in (None, known.suite):
        raise SealiftError(
            f"{lab.state}: the lab runs {known.suite}, {suite} was asked for. Run sealift lab down first."
        )
    control = known.control or control or (control is None and not known.count)
    return Machines(lab, wanted, control, known.suite)


def _wait_for(host: LabHost) -> None:
    deadline = time.monotonic() + _BOOT_S
    while time.monotonic() < deadline:
        booted = supervisor(host) is not None and system_state(host, wait=True) in _BOOTED
        if booted and (host.is_control or answers(host, 3)):
            return
        time.sleep(0.2)
    raise SealiftError(
        f"{host.name}: not up after {_BOOT_S} s, expected sshd to answer at {host.address} and {host.relay}. "
        f"{host.folder}/console.log and relay.log say why; run sealift lab down --keep, then up again."
    )


def _status_of(host: LabHost) -> LabHostStatus:
    running = supervisor(host) is not None
    state = system_state(host, wait=False) or "no answer" if running else "down"
    return LabHostStatus(host.name, host.address, running, state, memory_kib(host) // 1024 if running else 0)


def _require_own_folder(lab: Lab) -> None:
    entries = {path.name for path in lab.state.iterdir()}
    begun = all(name.startswith(f".{lab.hosts_json.name}.") for name in entries)
    if lab.hosts_json.name not in entries and not begun:
        raise SealiftError(
            f"{lab.state}: is not empty and no lab's state, expected either. "
            "Set SEALIFT_LAB to a folder that the lab may own."
        )


def _remove_state(lab: Lab) -> None:
    below = f"{lab.state}/"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if line.split()[1].startswith(below):
            raise SealiftError(
                f"{line.split()[1]}: is mounted, expected nothing in a lab's state. Unmount it."
            )
    for path in lab.state.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != lab.hosts_json:  # the mark of ownership goes last
            path.unlink()
    lab.hosts_json.unlink(missing_ok=True)
    lab.state.rmdir()
