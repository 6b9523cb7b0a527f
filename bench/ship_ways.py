"""Ways of getting a release to hosts: sealift's, and the customary ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.on_lab import CHECKOUT
from bench.ship_hosts import ShapedHosts
from sealift.blob import Blob
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.host_paths import BLOBS

_SMALL = (10_000,) * 3  # bytes; a release has manifests and configurations, too


@dataclass(frozen=True)
class Release:
    """What is shipped.

    + folder: of its blobs
    """

    folder: Path
    blobs: tuple[Blob, ...]

    @property
    def bytes(self) -> int:
        """In all."""
        return sum(blob.size for blob in self.blobs)

    @property
    def sums(self) -> str:
        """As sha256sum writes them."""
        return "\n".join(f"{blob.hex}  {blob.hex}" for blob in self.blobs)


@dataclass(frozen=True)
class Shipment:
    """What a run of sealift says of itself; see bench/ship_once.py."""

    seconds: float
    straight: int
    errors: Mapping[str, str]
    notes: Mapping[str, str]
    memory: int


def make_release(hosts: ShapedHosts, mib: int) -> Release:
    """A release of random bytes in the depot: one half, four of an eighth, and small ones."""
    depot = Depot(hosts.shared / "depot")
    sizes = (mib << 19, *((mib << 17,) * 4), *_SMALL)
    blobs = tuple(depot.store.put_bytes(os.urandom(size)) for size in sizes)
    listed = [[blob.digest, blob.size] for blob in blobs]
    (hosts.shared / "blobs.json").write_text(json.dumps(listed))
    return Release(depot.store.folder, blobs)


def begin_sealift(hosts: ShapedHosts, names: Sequence[str], *options: str) -> subprocess.Popen[str]:
    """Start to ship by sealift's own code.

    + options: of bench.ship_once
    """
    own: tuple[str | Path, ...] = (sys.executable, "-m", "bench.ship_once", "--shared", hosts.shared)
    return subprocess.Popen(
        hosts.in_network((*own, *options, *names)),
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end_sealift(running: subprocess.Popen[str]) -> Shipment:
    """Wait until it has ended. Raises SealiftError where it ends without a word."""
    said, wrong = running.communicate()
    if not said:
        raise SealiftError(f"bench.ship_once: exit code {running.returncode}:\n{wrong}")
    return Shipment(**json.loads(said))


def chain(hosts: ShapedHosts, _: Release) -> Shipment:
    """By a chain. Raises SealiftError where something came another way."""
    found = end_sealift(begin_sealift(hosts, hosts.fleet))
    if found.errors or found.notes or found.straight:
        raise SealiftError(f"not all came by the chain: {found}")
    return found


def alone(hosts: ShapedHosts, _: Release) -> Shipment:
    """To one host."""
    return end_sealift(begin_sealift(hosts, hosts.fleet[:1]))


def star(hosts: ShapedHosts, _: Release) -> Shipment:
    """By sealift without a chain, to all hosts at once."""
    return end_sealift(begin_sealift(hosts, hosts.fleet, "--star"))


def scp(hosts: ShapedHosts, release: Release) -> float:
    """By scp to all hosts at once."""
    each = f"scp -q -F {hosts.ssh_config} {release.folder}/* $h:{BLOBS}/"
    return _on_control(hosts, each)


def rsync(hosts: ShapedHosts, release: Release) -> float:
    """By rsync to all hosts at once."""
    each = f"rsync -r --whole-file -e 'ssh -F {hosts.ssh_config}' {release.folder}/ $h:{BLOBS}/"
    return _on_control(hosts, each)


def _on_control(hosts: ShapedHosts, each: str) -> float:
    """Run a command for each host, `$h`, at once."""
    begun = f'pids=; for h in {" ".join(hosts.fleet)}; do {each} & pids="$pids $!"; done'
    return _timed(hosts.on_control(f"{begun}; for p in $pids; do wait $p || exit 1; done"))


def pyinfra(hosts: ShapedHosts, release: Release) -> float:
    """By pyinfra's `files.put`."""
    data = {
        "ssh_user": "root",
        "ssh_key": str(hosts.shared / "key"),
        "ssh_known_hosts_file": str(hosts.shared / "known_hosts"),
    }
    listed = [(hosts.address(name), data) for name in hosts.fleet]
    (hosts.shared / "inventory.py").write_text(f"hosts = {listed!r}\n")
    lines = [
        f"files.put(src={str(release.folder / blob.hex)!r}, dest={f'{BLOBS}/{blob.hex}'!r})"
        for blob in release.blobs
    ]
    (hosts.shared / "deploy.py").write_text("\n".join(("from pyinfra.operations import files", *lines, "")))
    command = (sys.executable, "-m", "pyinfra", "-y", hosts.shared / "inventory.py")
    return _timed(hosts.in_network((*command, hosts.shared / "deploy.py")))


def ansible(folder: Path) -> Callable[[ShapedHosts, Release], float]:
    """By Ansible's `copy`.

    + folder: an environment that has Ansible
    """

    def copy(hosts: ShapedHosts, release: Release) -> float:
        variables = (
            f"ansible_ssh_common_args='-F {hosts.ssh_config} -o ControlMaster=auto -o ControlPersist=60s' "
            "ansible_python_interpreter=/usr/bin/python3"
        )
        inventory = hosts.shared / "hosts.ini"
        inventory.write_text("".join(f"{name} {variables}\n" for name in hosts.fleet))
        settings = (
            "ANSIBLE_PIPELINING=1",
            "ANSIBLE_LOCALHOST_WARNING=0",
            f"ANSIBLE_HOME={hosts.folder}/ansible",
            f"ANSIBLE_SSH_CONTROL_PATH_DIR={hosts.shared}/cp",
        )
        copied = ("-m", "copy", "-a", f"src={release.folder}/ dest={BLOBS}/")
        play = (folder / "bin/ansible", "all", "-i", inventory, "-f", str(len(hosts.fleet)), *copied)
        return _timed(hosts.in_network(("env", *settings, *play)))

    return copy


def _timed(command: Sequence[str]) -> float:
    began = time.monotonic()
    ran = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    seconds = time.monotonic() - began
    if ran.returncode != 0:
        raise SealiftError(f"{' '.join(command)}: exit code {ran.returncode}:\n{ran.stdout[-3000:]}")
    return seconds


_TAKES = """\
import socket
server = socket.create_server(("0.0.0.0", 9))
print("listens", flush=True)
taken, _ = server.accept()
while taken.recv(1 << 16):
    pass
print("done", flush=True)
"""
_GIVES = """\
import socket, sys
given = socket.create_connection((sys.argv[1], 9))
given.sendfile(open(sys.argv[2], "rb"))
"""


def wire(hosts: ShapedHosts, release: Release) -> float:
    """The largest blob over a plain connection; for the whole release, at that rate."""
    first, largest = hosts.fleet[0], max(release.blobs, key=lambda blob: blob.size)
    command = [str(hosts.folder / "bin/ssh"), "--", first, f"exec python3 -c '{_TAKES}'"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as taking:
        if taking.stdout is None:  # for the type checker
            raise AssertionError
        taking.stdout.readline()
        began = time.monotonic()
        gives = (sys.executable, "-c", _GIVES, hosts.address(first), release.folder / largest.hex)
        subprocess.run(hosts.in_network(gives), check=True)
        taking.stdout.readline()
        seconds = time.monotonic() - began
    return seconds * release.bytes / largest.size


def chain_with_a_death(hosts: ShapedHosts, release: Release) -> Shipment:
    """By a chain, whose middle host loses its power when half of it has come there."""
    middle = hosts.fleet[len(hosts.fleet) // 2]
    stored = Path(f"/proc/{hosts.pid(middle)}/root{BLOBS}").parent
    running = begin_sealift(hosts, hosts.fleet)
    done = threading.Event()

    def cut() -> None:
        while not done.wait(0.05):
            if sum(path.stat().st_size for path in stored.rglob("*") if path.is_file()) * 2 > release.bytes:
                hosts.kill(middle)
                return

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        found = end_sealift(running)
    finally:
        done.set()
        thread.join()
    if list(found.errors) != [middle]:
        raise SealiftError(f"expected that {middle} alone fails: {found}")
    return found
