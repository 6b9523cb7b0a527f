"""A real socket on loopback for each host's sshd, for pyinfra.

OpenSSH enters the namespace by ProxyCommand. pyinfra cannot: its SSH library, paramiko, writes into the
command's pipe without looking how much was taken, and under gevent that pipe does not block, so the stream
breaks as soon as the pipe is full; and it never notices that the command has ended. systemd's own socket
proxy listens on this machine and connects in the namespace.
"""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from sealift.lab.cgroup import lab_cgroup
from sealift.lab.layout import RELAY_PORT, LabHost
from sealift.lab.network import entering

PROXY = Path("/usr/lib/systemd/systemd-socket-proxyd")


def command(host: LabHost) -> list[str]:
    """Listen, and at the first connection become the proxy within the namespace.

    Source: systemd-socket-activate(1), systemd-socket-proxyd(8).
    """
    listening = ["systemd-socket-activate", f"--listen={host.relay}:{RELAY_PORT}"]
    return [*listening, *entering(host.lab, [str(PROXY), f"{host.address}:22"])]


def ensure_relay(host: LabHost) -> None:
    """Start a host's relay where none listens."""
    group = lab_cgroup(host.lab).child(f"relay-{host.name}")
    if group.pids():
        return
    group.make()
    with (host.folder / "relay.log").open("ab") as log:
        subprocess.Popen(
            group.joined_by(command(host)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def answers(host: LabHost, timeout_s: float) -> bool:
    """Whether an sshd greets at the other end of the relay."""
    try:
        with socket.create_connection((host.relay, RELAY_PORT), timeout_s) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
