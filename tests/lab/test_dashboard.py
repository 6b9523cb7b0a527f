"""What the lab's hosts did, as its Prometheus kept it: every panel of every dashboard, the page."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sealift.watch.now import NOW_EMPTY
from sealift.watch.queries import BOARDS
from tests.browser import browsing
from tests.lab.commands import Commands
from tests.lab.conftest import Site

_PATIENCE_S = 420  # two probes and their scrapes, so that all counters have grown once
# Of the panels that may be empty, those that have something to show once a status was published.
_PUBLISHED = ("generations.0", "drained.0", "differences.0", "drained", "differs")


def _asked(commands: Commands) -> Any:
    return json.loads(commands.ok(sys.executable, "-m", "tests.lab.panels", "lab").out)


def test_every_panel_of_every_dashboard_has_figures(
    site: Site, commands: Commands, record_property: Callable[[str, object], None]
) -> None:
    commands.run("sealift", "status", "lab", "--publish")
    panels = [panel for board in BOARDS for panel in board.panels]
    empty = {id: panel.empty for panel in panels if panel.empty for id, _ in panel.questions}
    may = {id: why for id, why in {**empty, **NOW_EMPTY}.items() if id not in _PUBLISHED}
    end = time.monotonic() + _PATIENCE_S
    while True:
        heard = _asked(commands)
        missing = [id for id in heard["silent"] if id not in may]
        if not missing or time.monotonic() > end:
            break
        time.sleep(10)
    assert (missing, heard["failed"], heard["host"]) == ([], {}, "h1")
    record_property("empty", {id: may[id] for id in heard["silent"]})


def test_the_page_shows_hosts_that_work_and_what_they_did(
    site: Site, commands: Commands, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    page = tmp_path / "page.html"
    ran = commands.ok("sealift", "dashboard", "lab", "--since", "30m", "--out", page)
    record_property("seconds for the page", round(ran.seconds, 1))
    told = page.read_text()
    assert re.findall(r'<th scope="row">(h\d)</th>', told) == ["h1", "h2", "h3"]
    assert "not watched" not in told and "silent" not in told and "Not answered" not in told
    assert "no figures" not in told.partition("<h2>Hosts</h2>")[0]
    with browsing() as browser:
        for width in (400, 1280):
            browser.look(f"file://{page}", width)
            assert browser.complaints() == []
            assert browser.run("return document.documentElement.scrollWidth") <= width


def test_no_key_and_no_prompt_is_on_the_page(site: Site, commands: Commands, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    key = commands.api_key()
    commands.ok("sealift", "ask", "lab", "chat", "Say the word zebrafish.", "--limit", "h1")
    commands.ok("sealift", "dashboard", "lab", "--since", "30m", "--out", page)
    told = page.read_text()
    assert "first" in told
    assert key not in told and "zebrafish" not in told
