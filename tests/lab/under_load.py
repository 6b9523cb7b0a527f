"""What applications see while something is done to a lab."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.commands import Commands

Answers = list[dict[str, Any]]


@dataclass
class Seen:
    """What came of it, once it is over.

    + began: seconds since 1970, when what was done began
    """

    requests: Answers = field(default_factory=list)
    streams: Answers = field(default_factory=list)
    began: float = 0.0

    @property
    def failed(self) -> Answers:
        """Whatever was not answered whole."""
        return [each for each in (*self.requests, *self.streams) if not each["ok"]]

    def told(self) -> str:
        """In one line, how long answers took before and meanwhile."""
        before = [each["seconds"] for each in self.requests if each["at"] < self.began]
        during = [each["seconds"] for each in self.requests if each["at"] >= self.began]
        usual, worst, now = statistics.median(before), max(before), statistics.median(during)
        longest = max((each["seconds"] for each in self.streams), default=0)
        return (
            f"{len(self.requests)} requests, {len(self.failed)} failed; before it {usual:.2f} s at the "
            f"median and {worst:.2f} s at most, meanwhile {now:.2f} s and {max(during):.2f} s, which is "
            f"{max(during) - worst:.2f} s more; {len(self.streams)} long streams, of {longest:.0f} s at most"
        )


@contextmanager
def under_load(
    commands: Commands, folder: Path, url: str, name: str, before_s: float, **values: object
) -> Iterator[Seen]:
    """Have applications ask, open loop, while something is done.

    + url: of a gateway or front door, whose certificate is for `name`
    + before_s: seconds that they ask before it
    + values: for tests.lab.load
    """
    told, stop, seen = folder / "load.json", folder / "load.stop", Seen()
    stop.unlink(missing_ok=True)
    told.touch(mode=0o600)
    ca = str(commands.site / "tls/ca.crt")
    site = {"url": url, "ca": ca, "name": name, "key": commands.api_key(), "stop": str(stop)}
    told.write_text(json.dumps({**site, **values}))
    command = ("sealift", "lab", "exec", "--", sys.executable, "-m", "tests.lab.load", told)
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(commands.ok, *command)
        try:
            time.sleep(before_s)
            seen.began = time.time()
            yield seen
        finally:
            stop.touch()
        found = json.loads(load.result().out)
    seen.requests, seen.streams = found["requests"], found["streams"]


def address(commands: Commands, host: str) -> str:
    """The IP address of a lab's host."""
    hosts = json.loads((commands.lab / "hosts.json").read_text())["hosts"]
    return next(str(each["address"]) for each in hosts if each["name"] == host)
