"""dashboard: what a fleet does, as a page."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from sealift.cli.console import say, working
from sealift.cli.options import InventoryName
from sealift.clients.usage import parse_since
from sealift.errors import SealiftError
from sealift.files import write_atomically
from sealift.site.inventory import Inventory, load_inventory
from sealift.watch.figures import window
from sealift.watch.page import policy, questions, render
from sealift.watch.prometheus import ask, monitors
from sealift.watch.server import ADDRESS, server

_REFRESH_S = 60
_FRESH_S = 15
_LEAST_S, _MOST_S = 600, 1000 * 86400


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("dashboard")(dashboard)


def dashboard(
    inventory: InventoryName,
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back: 45m, 12h, 30d.")] = "24h",
    port: Annotated[int, typer.Option(help="Of 127.0.0.1; 0 for any.", min=0, max=65535)] = 8600,
    out: Annotated[
        Path | None, typer.Option(help="Write the page to this file and end.", dir_okay=False)
    ] = None,
) -> None:
    """Show what the fleet does: requests, answer times, tokens, errors, alerts, releases, as one page.

    The page is served on this machine alone, until you press Ctrl-C. It needs a host of the group monitor.

    Example: sealift dashboard prod --since 7d
    """
    site = load_inventory(inventory)
    since_s = _seconds(since)
    monitors(site.name, site.hosts)
    if out:
        with working(f"asking Prometheus about the last {since}"):
            page = _page(site, since_s, None)
        write_atomically(out, page)
        say(f"{out}: written, {len(page):,} bytes")
        return
    with server(lambda: _page(site, since_s, _REFRESH_S), port, policy(), _FRESH_S) as serving:
        say(f"http://{ADDRESS}:{serving.server_address[1]}/ until you press Ctrl-C")
        with suppress(KeyboardInterrupt):
            serving.serve_forever()


def _seconds(since: str) -> int:
    seconds = round(parse_since(since).total_seconds())
    if not _LEAST_S <= seconds <= _MOST_S:
        raise SealiftError(f"--since: {since} is out of range, expected 10m to 1000d. Name a time between.")
    return seconds


def _page(site: Inventory, since_s: int, refresh_s: int | None) -> bytes:
    now = int(time.time())
    over = window(now, since_s)
    answers = ask(monitors(site.name, site.hosts), questions(over), now)
    return render(site.name, site.names, answers, over, refresh_s)
