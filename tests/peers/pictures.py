"""Pictures of pages, by a real browser: `python -m tests.peers.pictures docs/images [PAGE.html ...]`.

A page that `sealift dashboard --out` wrote is shown as it is. Without one, it is that of a large fleet: what
that did is made up (recorded.py), and asked of a real Prometheus.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from sealift.ssh import Ssh
from sealift.watch.figures import window
from sealift.watch.page import questions, render
from sealift.watch.prometheus import ask_one
from tests.browser import browsing
from tests.peers.prometheus import serving
from tests.peers.recorded import END, HOUR, LARGE, Fleet, blocks
from tests.watch_tools import program


def page(site: str, fleet: Fleet, folder: Path) -> Path:
    """Write the page of a fleet that was recorded. Gives its file."""
    promtool = program("prometheus", "promtool", folder)
    program("prometheus", "prometheus", folder)
    data = blocks(promtool, fleet, folder)
    before = os.environ["PATH"]
    with serving(folder, folder, data=data) as path:
        os.environ["PATH"] = f"{path}:{before}"
        over = window(END, int(fleet.hours * HOUR))
        answers = ask_one(Ssh(fleet.hosts[0], Path("none")), questions(over), END)
        os.environ["PATH"] = before
    written = folder / f"dashboard-{len(fleet.hosts)}.html"
    written.write_bytes(render(site, fleet.hosts, answers, over))
    return written


def show(written: Path, target: Path) -> None:
    """Take a page's pictures, by day and by night."""
    with browsing() as browser:
        for name, dark in (("light", False), ("dark", True)):
            browser.look(f"file://{written.absolute()}", 1280, dark=dark)
            (target / f"{written.stem}-{name}.webp").write_bytes(browser.picture())


def main(target: Path, *written: Path) -> None:
    """Take them all."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for each in written or (page("prod", LARGE, Path(folder)),):
            show(each, target)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
