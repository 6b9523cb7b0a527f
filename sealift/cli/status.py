"""status: what stands on the hosts of an inventory.

What takes long to import is imported while pyinfra reads the inventory.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from sealift.cli.options import AsJson, CheckBlobs, Exclude, InventoryName, Limit, print_json
from sealift.errors import SealiftError
from sealift.site.reading import Reading, begin_reading

if TYPE_CHECKING:
    from sealift.drift.look import Look
    from sealift.site.inventory import Inventory


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("status")(status)


def status(
    inventory: InventoryName,
    limit: Limit = None,
    exclude: Exclude = None,
    check_blobs: CheckBlobs = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Go on looking, until Ctrl-C; elsewhere than on a terminal, a line a change."
        ),
    ] = False,
    every: Annotated[
        float, typer.Option(min=1, max=3600, metavar="SECONDS", help="From one look of --watch to the next.")
    ] = 5,
    publish: Annotated[
        bool, typer.Option("--publish", help="Write what is found where the site's Prometheus reads it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what stands on every host, where it differs from the inventory, and what runs out within 30 days.

    Exit code 0: everything is as it should be. 1: something is not, a host does not answer, or a rollout was
    cut off and waits for somebody.

    Example: sealift status staging
    """
    if watch and (as_json or publish or check_blobs):
        raise typer.BadParameter("--watch goes with none of --json, --publish and --check-blobs")
    if publish and (limit or exclude):
        raise typer.BadParameter("--publish is about all hosts, and goes with neither --limit nor --exclude")
    reading = begin_reading(inventory)
    if watch:
        _watch(reading, inventory, limit, exclude, every)
        return
    site, found = _look(reading, limit, exclude, check_blobs)
    from sealift.cli.status_view import data, print_look

    if publish:
        _publish(site, found)
    if as_json:
        print_json(data(found))
        if found.unknown:
            typer.echo(f"alerts are unknown: {found.unknown}", err=True)
    else:
        print_look(found, site)
    stuck = cut_off(site)
    if stuck:
        typer.echo(stuck, err=True)
    if stuck or not found.ok:
        raise typer.Exit(1)


def cut_off(site: Inventory) -> str:
    """What is told of a rollout that was cut off; empty where there is none, or it is running."""
    from sealift.fleet.wave import is_running
    from sealift.rollout.journal import not_finished, unfinished

    journal = unfinished(site)
    return not_finished(journal) if journal and not is_running(site.hosts[0].settings.depot) else ""


def _look(
    reading: Reading, limit: list[str] | None, exclude: list[str] | None, check_blobs: bool
) -> tuple[Inventory, Look]:
    from sealift.cli.waiting import asking, hashing
    from sealift.drift.look import look_at, with_damaged
    from sealift.fleet.survey import targets
    from sealift.site.inventory import finish_reading

    site = finish_reading(reading).limited(limit, exclude)
    targeted = targets(site)
    with asking(len(site.hosts)):
        found = look_at(site, targeted)
    if check_blobs:
        with hashing(len(site.hosts)):
            found = with_damaged(found, targeted)
    return site, found


def _publish(site: Inventory, found: Look) -> None:
    from sealift.cli.status_view import publish

    publish(site, found, int(time.time()))


def _watch(
    reading: Reading, inventory: str, limit: list[str] | None, exclude: list[str] | None, every: float
) -> None:
    """Look again and again, until nobody reads what is found.

    An inventory that cannot be read while it is edited ends nothing.
    """
    from sealift.cli.status_view import Screen
    from sealift.drift.look import look_at
    from sealift.fleet.survey import targets
    from sealift.site.inventory import finish_reading

    with Screen() as screen:
        try:
            while True:
                began = time.monotonic()
                try:
                    site = finish_reading(reading).limited(limit, exclude)
                    screen.show(look_at(site, targets(site)), site)
                except SealiftError as error:
                    screen.complain(str(error))
                if not screen.read_for(max(0.0, began + every - time.monotonic())):
                    return
                reading = begin_reading(inventory)
        except KeyboardInterrupt:
            return
