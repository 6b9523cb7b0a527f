"""Hosts that are light: namespaces on the lab's Debian root, each with a store and an address of its own.

No host has an sshd that runs; a program in the place of the control node's ssh leads there.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from sealift.cache import cache_folder
from sealift.lab.root import PACKAGES, SUITE, ensure_root
from sealift.progress import silent
from sealift.ssh import Ssh

PORT = 4711
_SSH = """\
#!/bin/sh
case $1 in -G) for host do :; done; echo "hostname 10.99.1.${{host#h}}"; exit ;; esac
while [ "$1" != -- ]; do shift; done
exec nsenter --target "$(cat {folder}/$2/pid)" --mount --net --pid --root --wdns=/ sh -c "$3"
"""
_BEGIN = """\
mount -t overlay overlay -o lowerdir={root},upperdir={host}/upper,workdir={host}/work {host}/root
cd {host}/root
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p var/lib/sealift
mount -t tmpfs -o mode=755,size={store_mib}m tmpfs var/lib/sealift
exec chroot . sleep infinity
"""


@dataclass
class LightHosts:
    """Hosts `h1`, `h2` and so on, in a network of their own.

    + rate: of what each sends, as tc has it; "": as fast as it can
    + packages: of their root
    """

    folder: Path
    count: int
    rate: str = "160mbit"  # so that a transfer lasts long enough for something to happen in it
    packages: tuple[str, ...] = PACKAGES

    def __post_init__(self) -> None:
        self._network = f"light-{secrets.token_hex(4)}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(f"h{number}" for number in range(1, self.count + 1))

    def ssh(self, host: str) -> Ssh:
        """How sealift reaches one, with `bin` first in PATH."""
        return Ssh(host, self.folder / "ssh_config")

    def begin(self, store_mib: int = 1024, small: tuple[str, ...] = ()) -> None:
        """Start them.

        + store_mib: room of a store, or 16 of those that are `small`
        """
        root = ensure_root(cache_folder(os.environ) / "roots", SUITE, self.packages, silent)
        (self.folder / "bin").mkdir()
        program = self.folder / "bin/ssh"
        program.write_text(_SSH.format(folder=self.folder))
        program.chmod(0o755)
        _run("ip", "netns", "add", self._network)
        self._ip("link", "add", "name", "br", "type", "bridge")
        self._ip("link", "set", "dev", "br", "up")
        for name in self.names:
            self._start(name, root, 16 if name in small else store_mib)

    def start(self, name: str) -> None:
        """Start one that was killed, with an empty store."""
        shutil.rmtree(self.folder / name)
        self._start(name, ensure_root(cache_folder(os.environ) / "roots", SUITE, self.packages, silent), 1024)

    def _start(self, name: str, root: Path, store_mib: int) -> None:
        for part in ("upper", "work", "root"):
            (self.folder / name / part).mkdir(parents=True)
        script = _BEGIN.format(root=root, host=self.folder / name, store_mib=store_mib)
        flags = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private")
        self._running[name] = subprocess.Popen(
            ["unshare", *flags, "sh", "-ec", script], stdin=subprocess.DEVNULL
        )
        self._join(name)

    def _join(self, name: str) -> None:
        children = Path(f"/proc/{self._running[name].pid}/task/{self._running[name].pid}/children")
        deadline = time.monotonic() + 30
        while not (pid := children.read_text().strip()) or Path(f"/proc/{pid}/comm").read_text() != "sleep\n":
            assert time.monotonic() < deadline, f"{name} does not begin"
            time.sleep(0.02)
        (self.folder / name / "pid").write_text(pid)
        self._ip("link", "add", "name", name, "type", "veth", "peer", "name", "eth0", "netns", pid)
        self._ip("link", "set", "dev", name, "master", "br", "up")
        within = ("nsenter", "--target", pid, "--net", "ip")
        _run(*within, "address", "add", f"10.99.1.{name.removeprefix('h')}/24", "dev", "eth0")
        _run(*within, "link", "set", "dev", "eth0", "up")
        _run(*within, "link", "set", "dev", "lo", "up")
        if self.rate:
            self.slow(name, self.rate)

    def slow(self, name: str, rate: str) -> None:
        """Have a host send no faster than this from now on."""
        pid = (self.folder / name / "pid").read_text()
        shape = ("root", "tbf", "rate", rate, "burst", "256k", "latency", "50ms")
        _run("nsenter", "--target", pid, "--net", "tc", "qdisc", "replace", "dev", "eth0", *shape)

    def on(self, host: str, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script there."""
        command = [str(self.folder / "bin/ssh"), "--", host, script]
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)

    def put(self, host: str, path: str, content: bytes) -> None:
        """Write a file there, as it is verified in a store."""
        quoted = shlex.quote(path)
        script = f'mkdir -p "$(dirname {quoted})"; cat >{quoted}; chmod 444 {quoted}; touch -d @1 {quoted}'
        command = [str(self.folder / "bin/ssh"), "--", host, script]
        subprocess.run(command, input=content, check=True, timeout=60)

    def kill(self, host: str) -> None:
        """Have it vanish with all that runs there."""
        self._running[host].kill()
        self._running[host].wait()

    def end(self) -> None:
        """End them, and remove what they were."""
        for host in self._running:
            self.kill(host)
        _run("ip", "netns", "delete", self._network)

    def _ip(self, *arguments: str) -> None:
        _run("ip", "-n", self._network, *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
