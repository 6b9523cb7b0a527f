"""plan: what a rollout would do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal
from rich.table import Table

from sealift.cli.console import complain, say, show
from sealift.cli.options import AsJson, Exclude, Full, InventoryName, Limit, print_json
from sealift.cli.plan_view import print_changes
from sealift.cli.waiting import asking, counted
from sealift.drift.plan import plan_of
from sealift.files import canonical_json, write_atomically
from sealift.rollout.journal import journals
from sealift.rollout.plan import Plan, make_plan
from sealift.rollout.prepared import prepare
from sealift.rollout.promoting import judged
from sealift.site.inventory import load_inventory


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("plan")(plan)


def plan(
    inventory: InventoryName,
    limit: Limit = None,
    exclude: Exclude = None,
    full: Full = False,
    out: Annotated[
        Path | None, typer.Option(help="File for the plan: sealift rollout --plan does just that.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a rollout would do: the waves, and what would be shipped and changed. Changes nothing.

    A plan that was kept is done as it is, or refused where the fleet, the inventory or the release is another
    by then.

    Exit code 0: every host can take its release. 1: one cannot, and each reason is listed.

    Example: sealift plan prod --out plan.json
    """
    site = load_inventory(inventory).limited(limit, exclude)
    with asking(len(site.hosts)):
        prepared = prepare(site, full)
        able = tuple(target for target in prepared.targets if target.host.name in prepared.survey.wanted)
        changes = plan_of(able, prepared.survey.wanted, prepared.statuses)
    earlier = (journal.events for journal in journals(site))
    made = make_plan(
        prepared,
        changes,
        earlier,
        datetime.now(UTC).replace(microsecond=0),
        full=full,
        limit=limit or (),
        exclude=exclude or (),
    )
    if out:
        write_atomically(out, canonical_json(made.model_dump(mode="json"), indent=1))
    if as_json:
        print_json(made.model_dump(mode="json"))
    else:
        _print(made)
        if out:
            say(f"plan       {out}")
    for name, host in made.hosts.items() if not as_json else ():
        for line in host.problems:
            complain(f"{name}: {line}")
    for line in judged(prepared, datetime.now(UTC)).problems if not as_json else ():
        complain(f"a rollout would be refused: {line}")
    if not made.ok:
        raise typer.Exit(1)


def _print(made: Plan) -> None:
    table = Table("wave", "host", "to ship", "would change")
    numbers = {host: str(number) for number, wave in enumerate(made.waves, start=1) for host in wave}
    order = [host for wave in made.waves for host in wave]
    for name in (*order, *(name for name in made.hosts if name not in numbers)):
        host = made.hosts[name]
        to_ship = f"{decimal(host.bytes)} in {host.blobs} blobs"
        change = "cannot take it" if host.problems else str(len(host.differs) or "nothing")
        table.add_row(numbers.get(name, "-"), name, to_ship, change)
    show(table)
    hosts = made.hosts
    print_changes({n: h.differs for n, h in hosts.items()}, {n: h.diffs for n, h in hosts.items()})
    total = sum(host.bytes for host in hosts.values())
    took = "unknown: no rollout was done yet" if made.seconds is None else f"{made.seconds:.0f} s"
    say(f"\n{made.release} to {counted(len(order))} in {len(made.waves)} waves, {decimal(total)} to ship")
    say(f"time       {took}\nfingerprint {made.fingerprint}")
