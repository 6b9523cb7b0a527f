"""preflight, ship and apply: a release onto the hosts of an inventory."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.filesize import decimal
from rich.table import Table

from sealift.cli.console import say, show, working
from sealift.cli.options import AsJson, CheckBlobs, Exclude, InventoryName, Limit, print_json
from sealift.cli.plan_view import print_changes
from sealift.cli.progress import shown
from sealift.cli.ship_hours import in_hours
from sealift.cli.ship_plan import show_planned, show_simulated
from sealift.cli.waiting import asking, counted, hashing
from sealift.drift.plan import Plan, plan, with_damaged
from sealift.fleet import apply as course
from sealift.fleet.apply import Ready
from sealift.fleet.blob_check import damaged_blobs
from sealift.fleet.survey import Survey, Target, targets
from sealift.fleet.wave import Watch, WaveResult
from sealift.promotion.hosts import require_promoted
from sealift.promotion.site import log_overrides
from sealift.rollout.journal import require_finished
from sealift.rollout.window import Window
from sealift.ship.types import Shipped
from sealift.site.inventory import Inventory, load_inventory


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    app.command("preflight")(preflight)
    app.command("ship")(ship)
    app.command("apply")(apply)


def preflight(
    inventory: InventoryName, limit: Limit = None, exclude: Exclude = None, as_json: AsJson = False
) -> None:
    """Check whether every host can take its release. Changes nothing.

    Exit code 0: all can. 1: some cannot, and each reason is listed.

    Example: sealift preflight staging
    """
    ready, seconds = _checked(load_inventory(inventory).limited(limit, exclude))
    if as_json:
        print_json({target.host.name: _plan_data(target, ready.survey) for target in ready.targets})
    else:
        say(_fit_for_it(ready, seconds))


def ship(
    inventory: InventoryName,
    limit: Limit = None,
    exclude: Exclude = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be shipped, and by which chains; ship nothing.")
    ] = False,
    simulate: Annotated[
        int | None,
        typer.Option(help="Reckon how long the release takes to so many hosts; ask and ship nothing."),
    ] = None,
    slow_site: Annotated[
        list[str] | None,
        typer.Option(help="With --simulate: HOSTS:RATE of them share a link, 40:50Mbit; may be repeated."),
    ] = None,
    rate: Annotated[
        str, typer.Option(help="Of each link, for the time that --dry-run and --simulate tell.")
    ] = "1Gbit",
    hours: Annotated[
        str,
        typer.Option(
            metavar="HH:MM-HH:MM",
            help="Ship in these hours alone, by this machine's clock: pause after them, go on in the next.",
            show_default="at once",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Bring into every host's store what it lacks of its release. Deploys nothing.

    Killed at any moment, it goes on where it stopped when it is run again.

    For a fleet that is not there yet: --simulate 500 --slow-site 40:50Mbit.

    Example: sealift ship staging --dry-run --rate 200Mbit
    """
    if hours and (dry_run or simulate is not None):
        raise typer.BadParameter("--hours ships, and goes with neither --dry-run nor --simulate")
    if slow_site and simulate is None:
        raise typer.BadParameter("--slow-site is a part of the fleet of --simulate")
    site = load_inventory(inventory).limited(limit, exclude)
    if hours:
        raise typer.Exit(in_hours(Window.parse(hours), _at_once(inventory, limit, exclude, as_json)))
    if simulate is not None:
        largest = max(sum(blob.size for blob in target.order.blobs) for target in targets(site))
        show_simulated(largest, simulate, rate, slow_site or (), as_json)
        return
    ready, _ = _checked(site)
    if dry_run:
        show_planned(course.planned_to_ship(ready), rate, as_json)
        return
    started = time.monotonic()
    with shown() as progress:
        shipped = course.ship_to(ready, progress)
    if as_json:
        print_json({host: dataclasses.asdict(done) for host, done in shipped.items()})
    else:
        say(_what_was_shipped(shipped, time.monotonic() - started))


def _at_once(inventory: str, limit: Limit, exclude: Exclude, as_json: bool) -> list[str]:
    """The command that ships without a pause."""
    words = [sys.executable, "-m", "sealift", "ship", inventory]
    words += [word for name in limit or () for word in ("--limit", name)]
    words += [word for name in exclude or () for word in ("--exclude", name)]
    return words + ["--json"] * as_json


def apply(
    inventory: InventoryName,
    limit: Limit = None,
    exclude: Exclude = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be shipped and changed; change nothing.")
    ] = False,
    check_blobs: CheckBlobs = False,
    as_json: AsJson = False,
) -> None:
    """Make every host what its release and the inventory say: preflight, ship, then pyinfra once.

    A host that is so already is left alone. Killed at any moment, it finishes when it is run again.

    Example: sealift apply staging --limit llm1.staging.example --dry-run
    """
    site = load_inventory(inventory).limited(limit, exclude)
    if not dry_run:
        require_finished(site)
    ready, seconds = _checked(site)
    if not as_json:
        say(_fit_for_it(ready, seconds))
    if dry_run:
        with asking(len(ready.inventory.hosts)):
            planned = plan(ready.targets, ready.survey.wanted)
        if check_blobs:
            with hashing(len(ready.targets)):
                planned = with_damaged(planned, damaged_blobs(ready.targets, mark=False))
        _print_plan(ready, planned, as_json)
        return
    now = datetime.now(UTC)
    log_overrides(ready.inventory, require_promoted(ready.inventory, ready.targets, now), "apply", now)
    if check_blobs:
        with hashing(len(ready.targets)):
            damaged = course.mark_damaged(ready)
        if not as_json:
            say(_what_was_hashed(damaged))
    started = time.monotonic()

    def tell(shipped: Mapping[str, Shipped]) -> None:
        nonlocal started
        if not as_json:
            say(_what_was_shipped(shipped, time.monotonic() - started))
        started = time.monotonic()

    result = course.apply(ready, shown, tell, _operations)
    if as_json:
        print_json({host: dataclasses.asdict(done) for host, done in result.hosts.items()})
    else:
        _print_result(result, time.monotonic() - started)
    if not result.ok:
        raise typer.Exit(1)


def _checked(inventory: Inventory) -> tuple[Ready, float]:
    """Ask all hosts; give the seconds it took. Raises SealiftError with what keeps any from its release."""
    started = time.monotonic()
    with asking(len(inventory.hosts)):
        ready = course.preflight(inventory)
    return ready, time.monotonic() - started


def _what_was_hashed(damaged: Mapping[str, tuple[str, ...]]) -> str:
    lines = [f"{host}: {line}" for host, found in damaged.items() for line in found]
    return "\n".join(("hashing    " + ("are shipped again:" if lines else "no blob is damaged"), *lines))


def _plan_data(target: Target, surveyed: Survey) -> dict[str, object]:
    plan = surveyed.plans[target.host.name]
    return {
        "release": target.release,
        "bundle": target.stored.digest,
        "bytes_to_ship": plan.bytes_total,
        "blobs_to_ship": len(plan.items),
        "roles": dict(surveyed.wanted[target.host.name].answers),
    }


@contextmanager
def _operations() -> Iterator[Watch]:
    """Shows pyinfra's operation of the moment on standard error while it is a terminal; tells in any case."""
    with working("pyinfra: connecting") as work:
        yield Watch(at=lambda operation: work.now(f"pyinfra: {operation}"), tell=work.tell)


def _fit_for_it(ready: Ready, seconds: float) -> str:
    releases = " and ".join(sorted({target.release for target in ready.targets}))
    can = f"preflight  {counted(len(ready.targets))} can take {releases} ({seconds:.1f} s)"
    return "\n".join((can, *_fallbacks(ready)))


def _fallbacks(ready: Ready) -> Iterator[str]:
    """Where a role is not answered by the model that comes first."""
    for target in ready.targets:
        host, roles = target.host.name, target.stored.lock.release.roles
        for role, model in ready.survey.wanted[host].answers.items():
            if model != roles[role].model:
                yield f"  {host}: {role} is answered by {model}, as {roles[role].model} does not fit"


def _what_was_shipped(shipped: Mapping[str, Shipped], seconds: float) -> str:
    total = sum(done.bytes for done in shipped.values())
    blobs = sum(done.blobs for done in shipped.values())
    if not blobs:
        return f"shipping   no change ({seconds:.1f} s)"
    rate = decimal(int(total / seconds))
    notes = (f"  {host}: {done.note}" for host, done in shipped.items() if done.note)
    sum_ = f"{blobs} blobs, {decimal(total)} to {counted(len(shipped))} ({seconds:.1f} s, {rate}/s)"
    return "\n".join((f"shipping   {sum_}", *notes))


def _print_plan(ready: Ready, planned: Mapping[str, Plan], as_json: bool) -> None:
    if as_json:
        print_json(
            {
                target.host.name: {
                    **_plan_data(target, ready.survey),
                    **dataclasses.asdict(planned[target.host.name]),
                }
                for target in ready.targets
            }
        )
        return
    table = Table("host", "release", "to ship", "would change")
    for target in ready.targets:
        shipping, change = ready.survey.plans[target.host.name], planned[target.host.name]
        to_ship = f"{decimal(shipping.bytes_total)} in {len(shipping.items)} blobs"
        table.add_row(target.host.name, target.release, to_ship, str(len(change.differs) or "nothing"))
    show(table)
    lines = {host: (*change.differs, *filter(None, [change.error])) for host, change in planned.items()}
    print_changes(lines, {host: change.diffs for host, change in planned.items()})


def _print_result(result: WaveResult, seconds: float) -> None:
    table = Table("host", "changed", "unchanged", "failed")
    for host, done in result.hosts.items():
        failed = str(len(done.failed)) if done.reached else f"{len(done.failed)} (lost)"
        table.add_row(host, str(len(done.changed)), str(done.unchanged), failed)
    show(table)
    for operation in dict.fromkeys(name for done in result.hosts.values() for name in done.changed):
        hosts = [host for host, done in result.hosts.items() if operation in done.changed]
        say(f"  changed on {', '.join(hosts)}: {operation}")
    verdict = "done" if result.ok else f"failed; what pyinfra said is in {result.log}"
    say(f"deploying  {verdict} ({seconds:.1f} s)")
