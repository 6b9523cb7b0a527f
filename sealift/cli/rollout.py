"""plan and rollout: a release onto all hosts of a site, in waves, with a gate after each and a way back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from sealift.cli.console import complain, say
from sealift.cli.options import AsJson, Exclude, Full, InventoryName, Limit
from sealift.cli.progress import shown
from sealift.cli.rollout_view import View
from sealift.cli.waiting import asking, counted
from sealift.errors import SealiftError
from sealift.promotion.site import promotion_of
from sealift.rollout.begin import Result, begin, go_on
from sealift.rollout.journal import require_finished, unfinished
from sealift.rollout.pages import PAGE, write
from sealift.rollout.plan import read_plan, require_hosts, require_same
from sealift.rollout.prepared import Prepared, prepare
from sealift.rollout.promoting import recorded, require_permitted
from sealift.rollout.window import Window
from sealift.site.drained import read_drained
from sealift.site.inventory import Inventory, load_inventory


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    app.command("rollout")(rollout)


def rollout(
    inventory: InventoryName,
    limit: Limit = None,
    exclude: Exclude = None,
    full: Full = False,
    plan: Annotated[
        Path | None,
        typer.Option(help="Do what sealift plan --out wrote, or nothing where something is another since."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the rollout that was cut off, where it stood.")
    ] = False,
    abandon: Annotated[
        bool, typer.Option("--abandon", help="End the rollout that was cut off, as a failed gate would.")
    ] = False,
    activate_in: Annotated[
        str,
        typer.Option(
            metavar="HH:MM-HH:MM",
            help="Ship now; waves begin only in this window, by this machine's clock.",
            show_default="at once",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Bring a release to every host: ship it, then wave by wave drain, apply, verify, and let it work again.

    A gate follows each wave. Where it fails, hosts go back as rollout.on_failure says.

    Exit code 0: every host is as it should be. 1: a gate failed, a host was left out, or it was refused.

    Example: sealift rollout staging
    """
    if (resume and abandon) or ((resume or abandon) and (limit or exclude or full or plan or activate_in)):
        raise typer.BadParameter("--resume and --abandon stand alone: they go on with what was begun")
    if plan and (limit or exclude or full):
        raise typer.BadParameter(
            "--plan says which hosts, and goes with none of --limit, --exclude and --full"
        )
    site = load_inventory(inventory)
    view = View(as_json)
    if resume or abandon:
        if (journal := unfinished(site)) is not None:
            view.remember(journal.events)
        with view.shown() as seen:
            result = go_on(site, abandon, seen, view.tell)
    else:
        window = str(Window.parse(activate_in)) if activate_in else ""
        found = _planned(site, plan) if plan else _prepared(site.limited(limit, exclude), full)
        if not found.changing and not found.refused:
            if not as_json:
                say(f"nothing to change: {counted(len(site.hosts))} as {found.release[0]} wants it")
            return
        verdict = require_permitted(found, datetime.now(UTC))
        with view.shown() as seen:
            result = begin(found, seen, view.tell, verdict, window)
    _end(site, result, as_json)


def _planned(site: Inventory, path: Path) -> Prepared:
    """Raises SealiftError where something is another than the plan says."""
    made = read_plan(path)
    site = site.limited(made.limit, made.exclude)
    require_hosts(made, site.names, path)
    found = _prepared(site, made.full)
    require_same(made, found, path)
    return found


def _prepared(site: Inventory, full: bool) -> Prepared:
    """Raises SealiftError where more hosts cannot take their release than may fail."""
    require_finished(site)
    with asking(len(site.hosts)):
        found = prepare(site, full)
    if len(found.refused) > found.allowed or (found.refused and not found.changing):
        problems = [line for surveyed in found.survey.hosts.values() for line in surveyed.problems]
        raise SealiftError("\n".join((*problems, "Refused: nothing was changed on any host.")))
    return found


def _end(site: Inventory, result: Result, as_json: bool) -> None:
    told = _evidence(site, result)
    made = recorded(site, result.journal.opened.bundle, datetime.now(UTC)) if result.ok else None
    if not as_json:
        say(f"journal        {result.journal.folder}\nevidence       {told}")
    drained = read_drained(site.hosts[0].settings)
    for host in result.stuck:
        complain(
            f"{host}: could not go back, and stays drained. Look at it; once it answers well: "
            f"sealift undrain {site.name} {host}"
            if host in drained
            else f"{host}: could not go back. Look at it, then: sealift rollback {site.name} --limit {host}"
        )
    if made is not None:
        path, why = made
        if why:
            complain(why)
        elif path and not as_json:
            say(f"record         {path}")
    if not result.ok:
        if result.closed.outcome == "failed":
            complain(
                f"The inventory still names {result.journal.opened.release}. Name the release before in its "
                "group_data, or the next apply brings this one to all hosts at once."
            )
        else:
            complain(f"not on every host: {', '.join(result.failed)}")
        raise typer.Exit(1)


def _evidence(site: Inventory, result: Result) -> Path:
    """Write the evidence. The rollout is over by then: a key that does not sign takes nothing back."""
    try:
        with shown() as progress:
            return write(site.whole, result.journal, promotion_of(site).key, progress)
    except SealiftError as error:
        complain(f"the evidence is not signed: {error}")
        return result.journal.folder / PAGE
