"""One lab host: its disks, how it is booted, how it is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

from sealift.files import write_if_changed
from sealift.lab.cgroup import host_cgroup, supervisor
from sealift.lab.layout import (
    BRIDGE,
    CONTROL_DISK,
    CONTROL_MEDIA,
    LabHost,
)
from sealift.lab.network import entering
from sealift.lab.root import ADMINISTRATOR, ADMINISTRATOR_ID
from sealift.lab.site import ensure_ssh_key

# On a real file system of their own: overlay2 cannot stand on the overlay that is the host's root.
_BOUND = {
    "docker": "/var/lib/docker",
    "containerd": "/var/lib/containerd",
    "sealift": "/var/lib/sealift",
}
# In a mount namespace of the host's own, so that its root goes with it, however it goes, and so do the locks
# and the propagation folder that systemd-nspawn keeps in /run and a killed one would leave behind.
_MOUNTS = 'mount -t overlay overlay -o "$1" "$2"; mount -t tmpfs tmpfs /run; shift 2; exec "$@"'
_NETWORK = """\
[Match]
Name=host0

[Network]
Address={address}/24
LinkLocalAddressing=no
IPv6AcceptRA=no
"""


def host_key(host: LabHost) -> str:
    """A host's public SSH key, made before the host has ever run."""
    return ensure_ssh_key(host.upper / "etc/ssh/ssh_host_ed25519_key", host.name)


def prepare_disks(host: LabHost) -> None:
    """Write into a host's disk what tells it from the others. Only while it is not running.

    + host: its SSH key and the lab's are made already
    """
    for disk in (host.folder / "work", host.folder / "root", *_bound(host)):
        disk.mkdir(parents=True, exist_ok=True)
    # The upper folders' modes win over those of the shared root, and the umask may be any.
    for folder, mode in {
        "": 0o755,
        "etc": 0o755,
        "etc/ssh": 0o755,
        "root": 0o700,
        "root/.ssh": 0o700,
        "home": 0o755,
        f"home/{ADMINISTRATOR}": 0o700,
        f"home/{ADMINISTRATOR}/.ssh": 0o700,
        "etc/sudoers.d": 0o750,
        "etc/ssh/sshd_config.d": 0o755,
    }.items():
        (host.upper / folder).mkdir(parents=True, exist_ok=True)
        (host.upper / folder).chmod(mode)
    control_key = host.lab.identity.with_name(f"{host.lab.identity.name}.pub").read_bytes()
    names = f"127.0.0.1 localhost\n127.0.1.1 {host.name}\n::1 localhost\n"
    write_if_changed(host.upper / "etc/hostname", f"{host.name}\n".encode())
    write_if_changed(host.upper / "etc/hosts", names.encode())
    write_if_changed(
        host.upper / "etc/systemd/network/10-lab.network", _NETWORK.format(address=host.address).encode()
    )
    write_if_changed(host.upper / "root/.ssh/authorized_keys", control_key)
    _prepare_administrator(host, control_key)
    if host.is_control:
        _prepare_control(host)
    if not (host.upper / "etc/machine-id").exists():
        write_if_changed(host.upper / "etc/machine-id", f"{uuid.uuid4().hex}\n".encode())


def _prepare_administrator(host: LabHost, control_key: bytes) -> None:
    """An administrator with sudo, beside root or in the place of it."""
    home = host.upper / "home" / ADMINISTRATOR
    line = f"{ADMINISTRATOR} ALL=(ALL) NOPASSWD: ALL\n"
    write_if_changed(host.upper / "etc/sudoers.d" / ADMINISTRATOR, line.encode(), 0o440)
    write_if_changed(home / ".ssh/authorized_keys", control_key)
    for path in (home, home / ".ssh", home / ".ssh/authorized_keys"):
        os.chown(path, ADMINISTRATOR_ID, ADMINISTRATOR_ID)
    if host.user != "root":
        refusal = b"PermitRootLogin no\n"  # as CIS's benchmarks demand
        write_if_changed(host.upper / "etc/ssh/sshd_config.d/no-root.conf", refusal)


def _prepare_control(host: LabHost) -> None:
    """What is the site's own lies on the control node's disk, which this machine sees too."""
    write_if_changed(host.upper / "etc/environment", f"SEALIFT_SITES={CONTROL_DISK}/sites\n".encode())


def _bound(host: LabHost) -> dict[Path, str]:
    """Folders of this machine, and how they are bound on the host: where, and whether to be written."""
    if host.is_control:
        lab = host.lab
        return {
            lab.control_disk: f"--bind={lab.control_disk}:{CONTROL_DISK}",
            lab.depot: f"--bind={lab.depot}:{CONTROL_DISK}/depot",
            lab.media: f"--bind-ro={lab.media}:{CONTROL_MEDIA}",
        }
    return {host.folder / name: f"--bind={host.folder / name}:{target}" for name, target in _BOUND.items()}


def boot_command(host: LabHost, root: Path) -> list[str]:
    """Mount the host's root and boot it in the closed network.

    + root: the Debian root that it shares with its like

    A host may do what Docker needs, kernel keys and BPF among it. Source of the options: systemd-nspawn(1).
    """
    overlay = f"lowerdir={root},upperdir={host.upper},workdir={host.folder / 'work'}"
    mounted = str(host.folder / "root")
    nspawn = [
        "systemd-nspawn",
        "--boot",
        f"--directory={mounted}",
        f"--machine={host.machine}",
        f"--hostname={host.name}",
        "--register=no",
        "--keep-unit",
        "--console=passive",
        f"--network-bridge={BRIDGE}",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--capability=all",
        "--system-call-filter=@keyring bpf @mount",
        *_bound(host).values(),
    ]
    private = ["unshare", "--mount", "--propagation", "private"]
    return entering(host.lab, [*private, "sh", "-ec", _MOUNTS, "mounts", overlay, mounted, *nspawn])


def boot(host: LabHost, root: Path) -> None:
    """Start a host, and leave it running when this process ends.

    + root: the Debian root that it shares with its like
    """
    group = host_cgroup(host)
    group.kill()
    group.make()
    environment = {"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
    with (host.folder / "console.log").open("ab") as log:
        subprocess.Popen(
            group.joined_by(boot_command(host, root)),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def end(host: LabHost, grace_s: float) -> None:
    """Shut a host down, and kill what has not ended by itself.

    + grace_s: seconds for an orderly shutdown
    """
    deadline = time.monotonic() + grace_s
    if (pid := supervisor(host)) is not None:
        os.kill(pid, signal.SIGTERM)  # nspawn asks the host's systemd to power off
    while supervisor(host) is not None and time.monotonic() < deadline:
        time.sleep(0.1)
    host_cgroup(host).kill()
