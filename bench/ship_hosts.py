"""Hosts to ship to, whose links have a rate: light ones, each with an sshd, and a control node beside them.

The control node is reached in two ways: by its network alone, where this machine's programs run in it, and as
a host like the others, for programs of Debian's.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sealift.errors import SealiftError
from sealift.host_paths import BLOBS, PARTIAL
from sealift.lab.root import PACKAGES
from tests.peers.light_hosts import LightHosts

_TOOLS = ("aria2", "opentracker", "python3", "rsync")  # for who is compared; sealift needs none of them
_SSHD = """\
mkdir -p /run/sshd /root/.ssh
cat >/etc/ssh/ssh_host_ed25519_key
chmod 600 /etc/ssh/ssh_host_ed25519_key
echo {public} >/root/.ssh/authorized_keys
chmod -R go= /root/.ssh
/usr/sbin/sshd -h /etc/ssh/ssh_host_ed25519_key -o UsePAM=yes -o PermitRootLogin=yes -o MaxStartups=200
"""
_SSH_CONFIG = """\
Host *
    User root
    IdentityFile {folder}/key
    UserKnownHostsFile {folder}/known_hosts
    StrictHostKeyChecking yes
    HostKeyAlias fleet
"""
# Of the same Debian as the hosts, as a site's control node is: key exchange of others may cost more.
_CONTROL_SSH = """\
#!/bin/sh
exec nsenter --target {pid} --mount --net --root --wdns=/ /usr/bin/ssh "$@"
"""


@dataclass
class ShapedHosts(LightHosts):
    """Light hosts that a control node reaches over SSH, the last of them is that control node.

    Every link has `rate` both ways, the control node's too.
    """

    packages: tuple[str, ...] = (*PACKAGES, *_TOOLS)

    @property
    def fleet(self) -> tuple[str, ...]:
        """The hosts that are shipped to."""
        return self.names[:-1]

    @property
    def control(self) -> str:
        """The control node's name."""
        return self.names[-1]

    @property
    def shared(self) -> Path:
        """A folder that this machine and the control node have at the same path."""
        return self.folder / "shared"

    @property
    def ssh_config(self) -> Path:
        """By which the control node reaches hosts."""
        return self.shared / "ssh_config"

    def begin(self, store_mib: int = 1024, small: tuple[str, ...] = ()) -> None:
        """Start them, with all that the control node needs."""
        super().begin(store_mib, small)
        self.shared.mkdir()
        key = self.shared / "key"
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        public = key.with_suffix(".pub").read_text().strip()
        (self.shared / "known_hosts").write_text(f"fleet {public}\n")
        hosts = "".join(f"Host {name}\n    HostName {self.address(name)}\n" for name in self.fleet)
        self.ssh_config.write_text(hosts + _SSH_CONFIG.format(folder=self.shared))
        start = _SSHD.format(public=shlex.quote(public))
        for name in self.fleet:
            command = [str(self.folder / "bin/ssh"), "--", name, start]
            subprocess.run(command, input=key.read_bytes(), check=True)
        inside = f"{self.folder}/{self.control}/root{self.shared}"
        bind = f"mkdir -p {inside} && mount --bind {self.shared} {inside}"
        _run("nsenter", "--target", self.pid(self.control), "--mount", "sh", "-c", bind)
        (self.folder / "control").mkdir()
        program = self.folder / "control/ssh"
        program.write_text(_CONTROL_SSH.format(pid=self.pid(self.control)))
        program.chmod(0o755)
        if self.rate:
            self._shape_the_way_in()

    def _shape_the_way_in(self) -> None:
        shape = ("root", "tbf", "rate", self.rate, "burst", "256k", "latency", "50ms")
        for name in self.names:
            _run("ip", "netns", "exec", self._network, "tc", "qdisc", "add", "dev", name, *shape)

    def address(self, name: str) -> str:
        """Its address in their network."""
        return f"10.99.1.{name.removeprefix('h')}"

    def pid(self, name: str) -> str:
        """The process that its namespaces hang on."""
        return (self.folder / name / "pid").read_text()

    def in_network(self, command: Sequence[str | Path]) -> list[str]:
        """A command of this machine, in the control node's network; its ssh is the control node's."""
        path = f"PATH={self.folder}/control:{Path(sys.executable).parent}:{os.environ['PATH']}"
        return ["nsenter", "--target", self.pid(self.control), "--net", "env", path, *map(str, command)]

    def on_control(self, script: str) -> list[str]:
        """A command that runs a script on the control node."""
        return [str(self.folder / "bin/ssh"), "--", self.control, script]

    def empty(self) -> None:
        """Take away all that was shipped."""
        for name in self.fleet:
            self.on(name, f"rm -rf {BLOBS} {PARTIAL} /run/swarm; mkdir -p {BLOBS}")

    def require_all(self, sums: str, folder: str = BLOBS) -> None:
        """Hash what hosts have.

        + sums: as sha256sum writes them

        Raises SealiftError where one of them lacks something.
        """
        for name in self.fleet:
            said = self.on(name, f"cd {folder} && echo {shlex.quote(sums)} | sha256sum --quiet -c")
            if said.returncode != 0:
                raise SealiftError(f"{name}: has not all that was shipped:\n{said.stdout}{said.stderr}")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SealiftError(f"{' '.join(command)}: {done.stderr}")
