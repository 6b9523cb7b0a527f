"""A small site for rollouts in which something breaks: two hosts, two releases."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from sealift.fleet import generations
from sealift.lab.cgroup import host_cgroup, supervisor
from sealift.lab.layout import Lab, LabHost
from sealift.rollout.events import Began, Closed, Ended, Event
from sealift.rollout.journal import JOURNAL, parse
from sealift.site.inventory import load_inventory
from tests.lab.commands import CHECKOUT, Commands, Ran
from tests.lab.newer import another_image, everything
from tests.lab.newer_release import OLD, imported, release

OLDER, NEWER = "demo:2026.12.1", "demo:2026.12.2"
HOSTS = ("h1", "h2")  # h1 is the front door, h2 the canary
_BALLAST = 120 << 20  # bytes of the newer image's own layer, so that shipping and loading it take a while
_PATIENCE_S = 420
_SETTINGS = """
rollout = {"canary": ("h2",), "drain_s": 20, "soak_s": 0, "confirm_s": 120}
"""
# Names blobs that a generation has and the host store lacks.
_LACKING = """\
cd /var/lib/sealift
for hex in $(cat current/blobs previous/blobs); do test -f blobs/sha256/$hex || echo $hex; done
"""


@dataclass
class Under:
    """A rollout under way, then what came of it."""

    journal: Callable[[], list[Event]]
    ran: Ran | None = None
    seconds: float = 0.0

    over: Callable[[], bool] = lambda: False

    def wait(self, until: Callable[[], bool]) -> None:
        """Wait for what is to come before the rollout is over."""
        _wait(lambda: until() or self.over())
        assert until(), "the rollout was over before that"

    def until(self, kind: type[Began] | type[Ended], phase: str, wave: int = 0) -> None:
        """Wait for an event."""
        self.wait(
            lambda: any(isinstance(e, kind) and (e.phase, e.wave) == (phase, wave) for e in self.journal())
        )

    @property
    def closed(self) -> Closed:
        """The last event."""
        last = self.journal()[-1]
        assert isinstance(last, Closed), last
        return last


@dataclass(frozen=True)
class Fleet:
    """The site, and what its hosts are by each release, line by line."""

    commands: Commands
    inventory: Path
    states: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    @property
    def lab(self) -> Lab:
        """Of its hosts."""
        return Lab(self.commands.lab.resolve())

    def disk(self, host: str) -> Path:
        """Folders of this machine that are a host's `/var/lib/sealift` and `/var/lib/docker`."""
        return self.lab.state / "hosts" / host

    def wants(self, release: str) -> None:
        """Have the inventory name a release."""
        data = self.inventory.parent / "group_data/all.py"
        data.write_text(re.sub(r'release = "[^"]*"', f'release = "{release}"', data.read_text()))

    @property
    def journal(self) -> list[Event]:
        """Of the last rollout."""
        last = max((self.commands.lab / "rollouts").glob("lab-*"), key=lambda folder: folder.stat().st_mtime)
        return parse((last / JOURNAL).read_bytes(), last / JOURNAL)[0]

    @contextmanager
    def rollout(self, *options: str) -> Iterator[Under]:
        """Have a rollout run beside what is done meanwhile, and wait for its end."""
        below = self.commands.lab / "rollouts"
        before = set(below.glob("lab-*"))

        def journal() -> list[Event]:
            new = [path for path in set(below.glob("lab-*")) - before if (path / JOURNAL).exists()]
            return parse((new[0] / JOURNAL).read_bytes(), new[0])[0] if new else []

        under = Under(journal)
        with ThreadPoolExecutor(1) as pool:
            began = time.monotonic()
            running = pool.submit(self.commands.run, "sealift", "rollout", self.inventory, *options)
            under.over = running.done
            yield under
            under.ran = running.result()
            under.seconds = time.monotonic() - began

    def reset(self) -> None:
        """Have all hosts on the older release, without anything of the newer one in their stores."""
        # What is applied to one that has to go back yet is undone.
        _wait(lambda: not any((self.disk(host) / "sealift/armed").exists() for host in HOSTS))
        self.wants(OLDER)
        self.commands.ok("sealift", "apply", self.inventory)
        told = [json.loads((self.disk(h) / "sealift/previous/release.json").read_text()) for h in HOSTS]
        if NEWER in (each["release"] for each in told):  # so another one has to be what they go back to
            data = self.inventory.parent / "group_data/all.py"
            text = data.read_text()
            data.write_text(f'{text}\ngateway["requests_per_minute"] = 999\n')
            self.commands.ok("sealift", "apply", self.inventory)
            data.write_text(text)
            self.commands.ok("sealift", "apply", self.inventory)
        assert self.stands() == dict.fromkeys(HOSTS, OLDER)

    def until_it_went_back(self, host: str) -> None:
        """Wait until a host that is armed has gone back by itself."""
        _wait(lambda: (self.disk(host) / "sealift/returned").exists())
        _wait(lambda: not (self.disk(host) / "sealift/armed").exists())

    def stands(self) -> dict[str, str]:
        """Which release each host is whole; told line by line where it is neither.

        None waits to be confirmed, is drained or lacks a blob of what it may have to go back to.
        """
        os.environ["SEALIFT_LAB"] = str(self.commands.lab)
        for host, found in generations.stands(load_inventory(str(self.inventory)).hosts).all().items():
            assert not found.armed and not found.unconfirmed, (host, found)
        whole = {}
        for host in HOSTS:
            assert self.commands.on(host, _LACKING) == ""
            now = everything(self.commands, host)
            names = [name for name, states in self.states.items() if states[host] == now]
            assert names, {name: sorted({*now} ^ {*states[host]}) for name, states in self.states.items()}
            whole[host] = names[0]
        return whole

    def inside(self, host: str, script: str) -> str:
        """Run a script on a host without SSH, as at its console."""
        machine = LabHost(self.lab, int(host[1:]))
        children = (
            Path(f"/proc/{supervisor(machine)}/task/{supervisor(machine)}/children").read_text().split()
        )
        enter = ("nsenter", f"--target={children[0]}", "--all", "sh", "-ec", script)
        return subprocess.run(enter, check=True, capture_output=True, text=True).stdout

    def cut_power(self, host: str) -> None:
        """A host loses its power."""
        host_cgroup(LabHost(self.lab, int(host[1:]))).kill()

    def boot(self) -> None:
        """Hosts without power are booted again."""
        self.commands.ok("sealift", "lab", "up")


def _wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not until():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.02)


def _release(folder: Path, version: str, newer: bool) -> Path:
    """The demo with one role; the newer one has another image, package, file and context."""
    path = release(folder, version, OLD, ("embed",))
    found = yaml.safe_load(path.read_text())
    del found["control"]
    if newer:
        found["images"]["ollama"]["archive"] = "newer.tar"
        found["packages"]["all"].append("aria2")
        found["files"]["ollama-licence"]["target"] = "/opt/ollama/LICENSE"
        found["roles"]["embed"]["context"] = 256
    path.write_text(yaml.safe_dump(found, sort_keys=False))
    return path


def _ballast() -> bytes:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as made:
        entry = tarfile.TarInfo("ballast")
        entry.size = _BALLAST
        made.addfile(entry, io.BytesIO(os.urandom(_BALLAST)))
    return layer.getvalue()


def fleet_of(commands: Commands, ingredients: Path, work: Path) -> Fleet:
    """The site, on the older release; the newer one has stood there, and was left again.

    + commands: of a lab of two hosts
    + ingredients: of the demo
    + work: a folder
    """
    sources = work / "sources"
    shutil.copytree(ingredients, sources, copy_function=lambda a, b: Path(b).hardlink_to(Path(a).resolve()))
    another_image(sources / f"ollama-{OLD}.tar", sources / "newer.tar", _ballast())
    for name in (OLDER, NEWER):
        version = name.partition(":")[2]
        imported(commands, work, _release(work, version, name == NEWER), sources)
    shutil.copytree(CHECKOUT / "inventories/lab", work / "lab-inventory")
    inventory = work / "lab-inventory/lab.py"
    inventory.write_text(f"{inventory.read_text()}\nfront = llm[:1]\nmonitor = gpu = []\n")
    with (inventory.parent / "group_data/all.py").open("a") as settings:
        settings.write(_SETTINGS)
    fleet = Fleet(commands, inventory)
    fleet.wants(OLDER)
    commands.ok("sealift", "apply", inventory)
    commands.ok("sealift", "verify", inventory)
    return fleet
