"""Real Docker daemons of Debian's, each in namespaces of its own without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealift.processes import CONTAINED
from sealift.release.values import SuiteName
from tests.peers.apt_repository import debian_debs

# Debian 12's has the command line in docker.io; of the rest, the machine that runs the tests has it all.
_PACKAGES: dict[SuiteName, tuple[str, ...]] = {
    "bookworm": ("containerd", "docker.io", "libdevmapper1.02.1", "runc"),
    "trixie": ("containerd", "docker-cli", "docker.io", "libdevmapper1.02.1", "runc"),
}
_READY = 30  # seconds


@dataclass(frozen=True)
class Docker:
    """A daemon that runs. It can load and save, but run nothing."""

    root: Path
    socket: Path

    def __call__(self, *arguments: str | Path) -> str:
        """What `docker` prints; it must succeed."""
        command = [self.root / "usr/bin/docker", "--host", f"unix://{self.socket}", *arguments]
        done = subprocess.run(
            command, env=_environment(self.root), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"docker {' '.join(map(str, arguments))}: {done.stderr}"
        return done.stdout

    def inspect(self, image: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self("image", "inspect", image))
        return found[0]


def unpack(folder: Path, suite: SuiteName) -> Path:
    """The programs of a suite's Docker."""
    for deb in debian_debs(folder / "debs", suite, *_PACKAGES[suite]):
        subprocess.run(["dpkg-deb", "--extract", str(deb), str(folder / "root")], check=True)
    return folder / "root"


@contextmanager
def running(root: Path, folder: Path, *, containerd_store: bool) -> Iterator[Docker]:
    """Run it with a store of its own.

    + root: from `unpack`
    + containerd_store: it keeps images in containerd's store, not in Docker's
    """
    folder.mkdir()
    docker = Docker(root, folder / "socket")
    sockets = Path(tempfile.mkdtemp(prefix="docker-"))  # whose paths may have 104 characters
    settings = {
        "data-root": str(folder / "data"),
        "exec-root": str(sockets),
        "pidfile": str(folder / "pid"),
        "hosts": [f"unix://{docker.socket}"],
        "bridge": "none",
        "iptables": False,
        "features": {"containerd-snapshotter": containerd_store},
    }
    (folder / "daemon.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [
                *CONTAINED[:-1],
                "--net",
                "--",
                root / "usr/sbin/dockerd",
                "--config-file",
                folder / "daemon.json",
            ],
            env=_environment(root),
            stdout=log,
            stderr=log,
        )
    try:
        _wait(child, docker, folder / "log")
        yield docker
    finally:
        child.kill()  # and with it, all that is in its namespaces
        child.wait(10)
        shutil.rmtree(sockets)


def _environment(root: Path) -> dict[str, str]:
    return {
        "HOME": str(root),
        "PATH": f"{root}/usr/sbin:{root}/usr/bin:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": f"{root}/lib/x86_64-linux-gnu:{root}/usr/lib/x86_64-linux-gnu",
    }


def _wait(child: subprocess.Popen[bytes], docker: Docker, log: Path) -> None:
    end = time.monotonic() + _READY
    while child.poll() is None and time.monotonic() < end:
        if b"API listen on" in log.read_bytes():
            return
        time.sleep(0.1)
    raise AssertionError(f"dockerd does not answer:\n{log.read_text()}")
