"""Asks a site's Prometheus every question of every panel: `python -m tests.lab.panels SITE`.

Prints as JSON which of them had no series, and which failed with what.
"""

from __future__ import annotations

import json
import sys
import time

from sealift.site.inventory import load_inventory
from sealift.watch.now import NOW
from sealift.watch.prometheus import Question, ask, monitors
from sealift.watch.queries import BOARDS

_RATE_S = 300


def main(name: str) -> None:
    """Ask about this moment."""
    site = load_inventory(name)
    panels = [panel for board in BOARDS for panel in board.panels]
    asked = {id: Question(line.over(_RATE_S)) for panel in panels for id, line in panel.questions}
    asked |= {id: Question(each.replace("$since", f"{_RATE_S}s")) for id, each in NOW.items()}
    heard = ask(monitors(site.name, site.hosts), asked, int(time.time()))
    silent = [id for id in asked if id not in heard.failed and not heard.of(id)]
    print(json.dumps({"silent": silent, "failed": heard.failed, "host": heard.host}))


if __name__ == "__main__":
    main(sys.argv[1])
