"""Real signed apt repositories on loopback, in the shapes of Docker's and of NVIDIA's."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pysequoia
import requests

from sealift.depot.repository import certificate, clearsign
from sealift.release.values import SuiteName
from sealift.sources.apt_config import IsolatedApt
from sealift.sources.apt_mirror import debian_mirrors
from sealift.sources.apt_sources import DEBIAN_KEYRING
from tests.peers.registry import free_port

SUITE: SuiteName = "trixie"
COMPONENT = "stable"
# https://download.docker.com/linux/debian keeps a suite's packages below dists/
POOL = f"dists/{SUITE}/pool/{COMPONENT}/amd64"
INDEXES = f"dists/{SUITE}/{COMPONENT}/binary-amd64"
_READY = 10  # seconds


def new_key() -> pysequoia.Tsk:
    """A vendor's key, of the version that apt of Debian 12 knows."""
    return pysequoia.Tsk.generate("vendor <vendor@example.org>", profile=pysequoia.Profile.RFC4880)


def debian_debs(folder: Path, suite: SuiteName, *names: str) -> list[Path]:
    """Real packages of Debian, as they are."""
    folder.mkdir(parents=True)
    apt = IsolatedApt.make(folder / "apt")
    line = f"deb [signed-by={DEBIAN_KEYRING}] {debian_mirrors().main} {suite} main\n"
    (apt.root / "sources.list").write_text(line)
    apt.run("apt-get", "update", "--error-on=any", "-q")
    subprocess.run(["apt-get", "download", "-q", *names], cwd=folder, env=apt.environment, check=True)
    shutil.rmtree(apt.root)
    return sorted(folder.glob("*.deb"))


def docker_shaped(
    root: Path,
    debs: Iterable[Path],
    key: pysequoia.Tsk,
    valid: timedelta | None = None,
    suite: SuiteName = SUITE,
) -> None:
    """A repository with a suite and a component.

    + valid: how long from now its Release file is good for; None is for ever, as Docker has it
    """
    pool, indexes = (path.replace(SUITE, suite) for path in (POOL, INDEXES))
    _copy(debs, root / pool)
    (root / indexes).mkdir(parents=True, exist_ok=True)
    (root / indexes / "Packages").write_text(_ftparchive(root, "packages", pool))
    sign(root / "dists" / suite, key, valid, Suite=suite, Codename=suite, Components=COMPONENT)


def ubuntu_shaped(root: Path, suite: str, debs: Iterable[Path], key: pysequoia.Tsk) -> None:
    """A suite of an archive with two components and one pool: libbaseencode in universe, the rest in main."""
    found: dict[str, list[Path]] = {"main": [], "universe": []}
    for deb in debs:
        found["universe" if deb.name.startswith("libbaseencode") else "main"].append(deb)
    for component, of_component in found.items():
        _copy(of_component, root / "pool" / component)
        indexes = root / "dists" / suite / component / "binary-amd64"
        indexes.mkdir(parents=True)
        packages = _ftparchive(root, "packages", f"pool/{component}") if of_component else ""
        (indexes / "Packages").write_text(packages)
    sign(root / "dists" / suite, key, Suite=suite, Codename=suite, Components="main universe")


def nvidia_shaped(root: Path, debs: Iterable[Path], key: pysequoia.Tsk) -> None:
    """A flat repository."""
    _copy(debs, root)
    (root / "Packages").write_text(_ftparchive(root, "packages", "."))
    sign(root, key, None)


def sign(folder: Path, key: pysequoia.Tsk, valid: timedelta | None = None, **fields: str) -> None:
    """Write Release and InRelease anew over the indexes in a folder."""
    for name in ("Release", "InRelease"):
        (folder / name).unlink(missing_ok=True)
    options = [
        part
        for field, value in {"Origin": "Vendor", "Architectures": "amd64", **fields}.items()
        for part in ("-o", f"APT::FTPArchive::Release::{field}={value}")
    ]
    release = _ftparchive(folder, *options, "release", ".")
    if valid is not None:
        until = (datetime.now(UTC) + valid).strftime("%a, %d %b %Y %H:%M:%S UTC")
        release = f"Valid-Until: {until}\n{release}"
    (folder / "Release").write_text(release)
    (folder / "InRelease").write_bytes(clearsign(release.encode(), key))


def write_key(path: Path, key: pysequoia.Tsk) -> None:
    """The public half, armored."""
    path.write_bytes(certificate(key))


@contextmanager
def serving(root: Path, config: str = "") -> Iterator[int]:
    """Serve a folder over HTTP, with ranges; the port.

    + config: httpd.conf, such as `/:user:password`
    """
    port = free_port()
    options: list[str] = []
    if config:
        path = root.with_suffix(".conf")
        path.write_text(f"{config}\n")
        options = ["-c", str(path)]
    child = subprocess.Popen(["busybox", "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", str(root), *options])
    try:
        _wait(child, port)
        yield port
    finally:
        child.terminate()
        child.wait(10)


def _wait(child: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _READY
    session = requests.Session()
    session.trust_env = False
    while child.poll() is None and time.monotonic() < end:
        try:
            session.get(f"http://127.0.0.1:{port}/", timeout=2)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("busybox httpd does not answer")


def _copy(debs: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for deb in debs:
        shutil.copy(deb, folder)


def _ftparchive(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["apt-ftparchive", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout
