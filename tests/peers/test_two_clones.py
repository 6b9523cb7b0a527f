"""The demo release, locked and built by two clones whose surroundings differ in what should not matter."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sealift.blobs import BlobStore
from sealift.cache import cache_folder
from sealift.oci.layout import Entry, read_index, read_layout
from sealift.release.locked import Lock
from sealift.release.lockfile import load_lock
from tests.lab.commands import CHECKOUT, Commands
from tests.peers.conftest import SOURCES
from tests.unit import samples

# Its own host name; with a user, that one's too, who is root outside.
_ELSEWHERE = 'hostname "$1"; umask "$2"; shift 2; exec "$@"'
_AS_NOBODY = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
_SEALIFT = (sys.executable, "-c", "from sealift.__main__ import main; main()")
_SMALL = 4 << 20  # bytes: manifests, configs, lock, SBOM and code are smaller


@dataclass(frozen=True)
class Machine:
    """A clone of the project and what surrounds it."""

    folder: Path
    host: str
    umask: str
    cache: Path
    environment: dict[str, str]
    prefix: tuple[str, ...] = ()

    @property
    def clone(self) -> Path:
        """The project's folder."""
        return self.folder / f"checkout-of-{self.host}"

    @property
    def sources(self) -> Path:
        """The sources folder."""
        return self.folder / f"sources-of-{self.host}"

    @property
    def bundle(self) -> Path:
        """What it built."""
        return self.folder / "bundle"

    @property
    def lock(self) -> Path:
        """What it locked."""
        return self.folder / "demo.lock"

    @property
    def names(self) -> tuple[str, ...]:
        """What must stand nowhere in a bundle."""
        own = (self.host, self.environment["USER"], str(self.folder), str(self.cache), str(CHECKOUT))
        return (*own, self.clone.name, self.sources.name)

    def run(self, *command: str | Path) -> str:
        """Run a command in the clone, which must succeed."""
        surroundings = ("unshare", "--uts", "sh", "-ec", _ELSEWHERE, "sh", self.host, self.umask)
        home = {"HOME": str(self.folder / "home"), "LOGNAME": self.environment["USER"]}
        more = {"SEALIFT_CACHE": str(self.cache), "PYTHONPATH": str(self.clone)}
        done = subprocess.run(
            (*surroundings, *self.prefix, *command),
            cwd=self.clone,
            env={**os.environ, **self.environment, **home, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def make(self, key: Path) -> None:
        """Lock and build by the clone's own code."""
        where = self.run(sys.executable, "-c", "import sealift; print(sealift.__file__)")
        assert where.strip() == str(self.clone / "sealift/__init__.py")
        given = ("--sources", self.sources)
        self.run(*_SEALIFT, "lock", "releases/demo.yaml", *given, "--out", self.lock)
        self.run(*_SEALIFT, "build", self.lock, *given, "--out", self.bundle, "--key", key)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Machine]]:
    """Both have built: the one with this machine's cache, the other as another user, all fetched anew."""
    Commands(CHECKOUT / ".lab").ok("python", "-m", "demo.ingredients", SOURCES)
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    here = {"USER": "umbridge", "TZ": "UTC", "LANG": "C.UTF-8", "PYTHONHASHSEED": "1"}
    there = {"USER": "trelawney", "TZ": "Pacific/Kiritimati", "LANG": "C", "PYTHONHASHSEED": "2"}
    made = (
        Machine(one, "hogsmeade", "022", cache_folder(os.environ), here),
        Machine(two, "azkaban", "077", two / "cache", there, (*_AS_NOBODY, "taskset", "--cpu-list", "0")),
    )
    key = samples.signing_key(one / "key")
    for machine, age in zip(made, (0, 1_000_000), strict=True):
        (machine.folder / "home").mkdir()
        shutil.copytree(SOURCES, machine.sources)
        for path in machine.sources.rglob("*"):
            os.utime(path, (time.time() - age,) * 2)
        clone = f'umask {machine.umask}; git clone --quiet "$1" "$2"'
        subprocess.run(("sh", "-ec", clone, "sh", CHECKOUT, machine.clone), check=True, capture_output=True)
        machine.make(key)
    yield made
    shutil.rmtree(one)
    shutil.rmtree(two)


def _hashes(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            found[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def test_their_locks_and_every_file_of_their_bundles_are_equal(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    assert (one.clone / "deploy.py").stat().st_mode != (two.clone / "deploy.py").stat().st_mode
    assert one.lock.read_bytes() == two.lock.read_bytes()
    assert len(_hashes(one.bundle)) > 100
    assert _hashes(one.bundle) == _hashes(two.bundle)  # Ed25519's signature too: it has no chance in it


def _without_contents(code: Path) -> bytes:
    """What packing adds to the project's files, which are what git has and may name anything."""
    found, end = code.read_bytes(), 0
    rest = bytearray()
    with tarfile.open(code) as archive:
        for member in archive:
            rest += found[end : member.offset_data]
            end = member.offset_data + member.size
    return bytes(rest + found[end:])


def _written_by_build(bundle: Path, lock: Lock) -> Iterator[tuple[str, bytes]]:
    """Index, manifests, configs, lock, SBOM and code of a bundle, by what they are."""
    store = BlobStore(bundle)
    entries: tuple[Entry, ...] = read_layout(read_index(bundle), store).entries
    assert lock.control is not None
    code = lock.control.code
    yield "index", read_index(bundle)
    yield "code.tar", _without_contents(store.path(code))
    yield "requirements", store.path(lock.control.requirements).read_bytes()
    for entry in entries:
        layers = entry.manifest.layers if entry.ref == "sbom" else ()
        for descriptor in (entry.descriptor, entry.manifest.config, *layers):
            assert descriptor.size < _SMALL
            yield f"{entry.ref}: {descriptor.media_type}", store.path(descriptor.blob).read_bytes()


def test_nothing_in_them_tells_where_when_or_by_whom_they_were_made(
    machines: tuple[Machine, Machine],
) -> None:
    today = datetime.now(UTC)
    dates = [str((today + timedelta(days=days)).date()) for days in (-1, 0, 1)]  # of any time zone
    lock = load_lock(machines[0].lock)
    texts = dict(_written_by_build(machines[0].bundle, lock))
    assert b"deploy.py" in texts["code.tar"] and len(texts) > 10
    for machine in machines:
        for name in (*machine.names, *dates):
            assert [what for what, text in texts.items() if name.encode() in text] == [], name
