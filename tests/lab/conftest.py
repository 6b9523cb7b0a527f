"""The labs of the end-to-end tests. Each has a state folder of its own and is taken down at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.lab.commands import CHECKOUT, START, Commands, Ran

# As a site may have set up its hosts: nothing runs from /tmp, nothing that root writes is for others, root's
# shell is sh, and the locale is of before UTF-8.
STRICT = """\
usermod --shell /bin/sh root
mount -t tmpfs -o noexec,nosuid,mode=1777 tmpfs /tmp
sed -i 's/pam_umask.so/& umask=077/' /etc/pam.d/common-session
printf 'LANG=de_DE.ISO-8859-1\\nLC_ALL=de_DE.ISO-8859-1\\n' >>/etc/environment
"""
SOURCES = CHECKOUT / "build/ingredients"


@dataclass(frozen=True)
class Site:
    """A site where the demo release was prepared, carried, applied and verified."""

    lab: Path
    work: Path
    bundle_digest: str
    steps: dict[str, Ran] = field(default_factory=dict)
    sources: Path = SOURCES

    @property
    def lock(self) -> Path:
        """The lock of the demo release."""
        return self.work / "demo.lock"

    @property
    def bundle(self) -> Path:
        """The bundle, as it would be carried."""
        return self.work / "bundle"

    @property
    def depot(self) -> Path:
        """The site's content store."""
        return self.lab / "depot"

    @property
    def release_key(self) -> Path:
        """The key that signs bundles."""
        return self.lab / "release_key"

    @property
    def allowed_signers(self) -> Path:
        """Whose signatures the site trusts."""
        return self.lab / "allowed_signers"

    @property
    def evidence(self) -> Path:
        """The evidence of the last verification, on the control node's disk."""
        return self.lab / "control/evidence/latest"


def lab_of(state: Path, hosts: int, control: bool = False, suite: str = "trixie") -> Iterator[Commands]:
    """A lab that is up, and leaves nothing behind."""
    commands = Commands(state)
    options = ("--hosts", str(hosts), "--control" if control else "--no-control", "--suite", suite)
    try:
        commands.ok("sealift", "lab", "up", *options)
        yield commands
    finally:
        commands.ok("sealift", "lab", "down")


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """The commands against the main lab: three hosts, the first one strict, the last with a stand-in GPU."""
    for commands in lab_of(tmp_path_factory.mktemp("main") / "lab", hosts=3, control=True):
        commands.on("h1", STRICT)
        yield commands


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """The commands against a second lab of two bare hosts, beside the main one."""
    yield from lab_of(tmp_path_factory.mktemp("fresh") / "lab", hosts=2)


@pytest.fixture(scope="session")
def sources() -> Path:
    """The ingredients of the demo release, made or out of the cache."""
    Commands(CHECKOUT / ".lab").ok("python", "-m", "demo.ingredients", SOURCES)
    return SOURCES


@pytest.fixture(scope="session")
def site(commands: Commands, sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The whole way once: lock, build, media; then, on the control node, start, apply, verify."""
    lab, work = commands.lab, tmp_path_factory.mktemp("site")
    site = Site(lab, work, bundle_digest="")
    lock = ("releases/demo.yaml", "--sources", sources, "--out", site.lock)
    build = (site.lock, "--sources", sources, "--out", site.bundle, "--key", site.release_key)
    media = ("write", site.bundle, lab / "media", "--size", "400M", "--key", site.release_key)
    steps = {
        "lock": commands.ok("sealift", "lock", *lock),
        "build": commands.ok("sealift", "build", *build),
        "media": commands.ok("sealift", "media", *media),
        "start": commands.on_control(START),
        "init": commands.on_control("sh /srv/sealift/deployment/demo/init.sh"),
        "apply": commands.on_control("cd /srv/sealift/deployment && sealift apply lab"),
        "verify": commands.on_control("cd /srv/sealift/deployment && sealift verify lab"),
    }
    return Site(lab, work, bundle_digest=digest_of(site.bundle), steps=steps)


def digest_of(bundle: Path) -> str:
    """The digest of a bundle: the SHA-256 of its index."""
    return f"sha256:{hashlib.sha256((bundle / 'index.json').read_bytes()).hexdigest()}"


class _Scheduling(LoadFileScheduling):  # type: ignore[misc] # it has no types
    """Side by side go the files of tests, and those of this folder as one: they share a lab."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/lab" if nodeid.startswith("tests/lab/") else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For pytest-xdist."""
    return _Scheduling(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests recorded, such as the models' answers, in the log of every run."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {name}: {value}")
