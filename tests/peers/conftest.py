"""The demo release, locked and built once as an operator does: a bundle with real packages and weights."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo import images
from demo.cache import make
from sealift.cache import cache_folder
from sealift.release.locked import Lock, LockedImage
from sealift.release.lockfile import load_lock
from sealift.release.types import Image
from tests.lab.commands import CHECKOUT, Commands
from tests.peers import gateway
from tests.peers.fetching import NAME, save
from tests.peers.registry import Peer, serving
from tests.unit import samples
from tests.unit.media_bundle import Site

SOURCES = CHECKOUT / "build/ingredients"
SIGNER = "release@example"


@dataclass(frozen=True)
class Demo(Site):
    """The demo's bundle, its key and who may sign, and the lock that it was built from."""

    path: Path

    @property
    def lock(self) -> Lock:
        """The lock, read."""
        return load_lock(self.path)


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """The commands of this checkout, without a lab."""
    return Commands(tmp_path_factory.mktemp("no-lab"))


@pytest.fixture(scope="session")
def demo(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo release, locked and built."""
    work = tmp_path_factory.mktemp("demo")
    key = samples.signing_key(work / "key")
    allowed = work / "allowed_signers"
    allowed.write_text(f'{SIGNER} namespaces="sealift" {key.with_suffix(".pub").read_text()}')
    lock, bundle = work / "demo.lock", work / "bundle"
    commands.ok("python", "-m", "demo.ingredients", SOURCES)
    commands.ok("sealift", "lock", "releases/demo.yaml", "--sources", SOURCES, "--out", lock)
    commands.ok("sealift", "build", lock, "--sources", SOURCES, "--out", bundle, "--key", key)
    yield Demo(bundle, key, allowed, lock)
    shutil.rmtree(work)


@pytest.fixture(scope="session")
def envoy_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of the demo's Envoy."""
    cache = cache_folder(os.environ) / "ingredients"
    (archive,) = make(images.envoy_image(make(images.base(), cache, print)), cache, print).iterdir()
    return gateway.program(archive, tmp_path_factory.mktemp("envoy"))


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """A registry, for a module."""
    with serving(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image as `docker save` has it."""
    return save(tmp_path_factory.mktemp("saved") / "image.tar")


@pytest.fixture
def expected(saved: Path) -> LockedImage:
    """The image of that archive, locked."""
    return samples.lock_image(Image(name=NAME, archive=saved.name), saved.parent)
