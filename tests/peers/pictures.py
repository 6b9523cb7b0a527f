"""Pictures of the page for the docs: `python -m tests.peers.pictures docs/images`.

What they show is made up (recorded.py); that a real Prometheus says it and a real browser shows it is not.
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
from tests.peers.recorded import END, HOUR, LARGE, SMALL, Fleet, blocks
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
    written = folder / f"{site}.html"
    written.write_bytes(render(site, fleet.hosts, answers, over))
    return written


def main(target: Path) -> None:
    """Make them all."""
    target.mkdir(parents=True, exist_ok=True)
    for site, fleet in (("lab", SMALL), ("prod", LARGE)):
        with tempfile.TemporaryDirectory() as folder, browsing() as browser:
            written = page(site, fleet, Path(folder))
            for name, dark in (("light", False), ("dark", True)):
                browser.look(f"file://{written}", 1280, dark=dark)
                picture = target / f"dashboard-{len(fleet.hosts)}-{name}.webp"
                picture.write_bytes(browser.picture())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
