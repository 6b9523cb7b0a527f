"""rollback: hosts go back to the generation before, each out of its own store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.table import Table

from sealift.cli.console import complain, say, show, working
from sealift.cli.options import AsJson, Exclude, InventoryName, Limit, print_json
from sealift.cli.waiting import asking, counted
from sealift.fleet import back
from sealift.fleet.back import Outcome
from sealift.fleet.generations import Kept, Stands
from sealift.rollout.journal import require_finished
from sealift.site.inventory import load_inventory


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("rollback")(rollback)


def rollback(
    name: InventoryName,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="GENERATION", help="To this one, not to the last good one before."),
    ] = None,
    limit: Limit = None,
    exclude: Exclude = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what each host would go back to; change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Have hosts go back to the generation before: packages, images, models, configuration.

    Each host does it out of its own store: nothing of the release is needed here. Afterwards each is held
    against the record of that generation. A second time changes nothing.

    All hosts go back at once, and requests fail while services are made anew. Behind a front door, drain some
    hosts, --limit to them, undrain them, and go on with others.

    Exit code 0: all hosts are what the record says. 1: one is not, or cannot go back.

    Example: sealift rollback prod --limit llm1.prod.example --dry-run
    """
    site = load_inventory(name).limited(limit, exclude)
    if not dry_run:
        require_finished(site)  # it would go on as if its hosts were what it left them
    with asking(len(site.hosts)):
        stands = back.can_go_back(site, to)
    if dry_run:
        if as_json:
            print_json({host: _data(each, to) for host, each in stands.items()})
        else:
            _show(stands, to)
        return
    if not as_json:
        _show(stands, to)
    started = time.monotonic()
    with working(f"going back: {counted(len(site.hosts))}"):
        outcomes = back.roll_back(site, to)
    if as_json:
        print_json({host: _outcome(each, stands[host], to) for host, each in outcomes.items()})
    else:
        _tell(outcomes, time.monotonic() - started)
        say(_reminder(stands, to, {host.settings.release for host in site.hosts}))
    if not all(each.ok for each in outcomes.values()):
        raise typer.Exit(1)


def _reminder(stands: Mapping[str, Stands], to: str | None, named: set[str]) -> str:
    """What the operator has to do, since an apply goes by the inventory."""
    releases = {each.release for each in (of.back(to) for of in stands.values()) if each}
    if named == releases:
        return f"The inventory names {' and '.join(sorted(named))}: sealift apply makes the hosts as it says."
    return (
        f"The inventory still names {' and '.join(sorted(named))}. Name {' and '.join(sorted(releases))} "
        "in its group_data, or the next apply leaves it again."
    )


def _show(stands: Mapping[str, Stands], to: str | None) -> None:
    table = Table("host", "in force", "would go back to" if to is None else "goes back to", "there since")
    for host, each in stands.items():
        back_to = each.back(to)
        if back_to is None or each.current is None:  # for the type checker: it was refused
            raise AssertionError
        same = back_to.id == each.current.id
        table.add_row(
            host,
            _named(each.current),
            f"{_named(back_to)}{', in force already' if same else ''}",
            f"{back_to.placed:%Y-%m-%d %H:%M} UTC",
        )
    show(table)


def _named(kept: Kept) -> str:
    return f"{kept.release} ({kept.id})"


def _tell(outcomes: Mapping[str, Outcome], seconds: float) -> None:
    for host, each in outcomes.items():
        if each.error:
            complain(each.error)
        for line in each.differs:
            complain(f"{host}: {line}")
        if each.ok:
            say(f"{host}: is what the record says: {each.release}")
    good = sum(each.ok for each in outcomes.values())
    say(f"rollback   {good} of {counted(len(outcomes))} ({seconds:.1f} s)")


def _data(stands: Stands, to: str | None) -> dict[str, object]:
    def kept(found: Kept | None) -> dict[str, object] | None:
        if found is None:
            return None
        return {
            "generation": found.id,
            "release": found.release,
            "bundle": found.bundle,
            "placed": found.placed.isoformat(),
        }

    return {"current": kept(stands.current), "back_to": kept(stands.back(to)), "armed": stands.armed}


def _outcome(outcome: Outcome, stands: Stands, to: str | None) -> dict[str, object]:
    return {
        **_data(stands, to),
        "ok": outcome.ok,
        "did": outcome.did,
        "differs": outcome.differs,
        "error": outcome.error,
    }
