"""rollback: hosts go back to the generation before, each out of its own store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.table import Table

from sealift.cli.console import complain, console, say, show, working
from sealift.cli.options import AsJson, Exclude, InventoryName, Limit, print_json
from sealift.cli.waiting import asking, counted
from sealift.errors import SealiftError, printable
from sealift.fleet import back
from sealift.fleet.back import Outcome
from sealift.fleet.generations import Kept, Stands
from sealift.rollout.going_back import Heard, roll_back_in_waves
from sealift.rollout.journal import require_finished
from sealift.rollout.way_back import Way, way_back
from sealift.site.inventory import Inventory, load_inventory


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
    at_once: Annotated[
        bool, typer.Option("--at-once", help="All hosts at the same time, also behind a front door.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what each host would go back to, and when; change nothing."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Have hosts go back to the generation before: packages, images, models, configuration.

    Each host does it out of its own store: nothing of the release is needed here. Afterwards each is held
    against the record of that generation. A second time changes nothing.

    Behind a front door they go in the waves of a rollout, and each is drained meanwhile: no request fails
    where others can stand in. Without a front door, or with --at-once, all go at once, and requests fail
    while services are made anew.

    Exit code 0: all hosts are what the record says. 1: one is not, or cannot go back.

    Example: sealift rollback prod --limit llm1.prod.example --dry-run
    """
    site = load_inventory(name).limited(limit, exclude)
    if not dry_run:
        require_finished(site)  # it would go on as if its hosts were what it left them
    with asking(len(site.hosts)):
        stands = back.can_go_back(site, to)
        way = None if at_once else _way(site, stands, to)
    data = {host: _data(each, to, host, way) for host, each in stands.items()}
    if not as_json:
        _show(stands, to, way, dry_run)
    if dry_run:
        if as_json:
            print_json(data)
        return
    view = View(site.name, as_json)
    started = time.monotonic()
    if way:
        outcomes = roll_back_in_waves(way, view.heard)
    else:
        with working(f"going back: {counted(len(site.hosts))}"):
            outcomes = back.roll_back(site, to)
        for host, each in outcomes.items():
            view.outcome(host, each)
    if as_json:
        print_json({host: {**data[host], **_outcome(each)} for host, each in outcomes.items()})
    else:
        good = sum(each.ok for each in outcomes.values())
        view.line(f"rollback   {good} of {counted(len(outcomes))} ({time.monotonic() - started:.1f} s)")
        view.line(_reminder(stands, to, {host.settings.release for host in site.hosts}))
    if not all(each.ok for each in outcomes.values()):
        raise typer.Exit(1)


def _way(site: Inventory, stands: Mapping[str, Stands], to: str | None) -> Way | None:
    """In which waves hosts go back; None where they go all at once."""
    try:
        return way_back(site, stands, to)
    except SealiftError as error:  # going back matters more
        complain(f"{error}\nSo front doors cannot be told, and hosts go back all at once.")
        return None


def _reminder(stands: Mapping[str, Stands], to: str | None, named: set[str]) -> str:
    """What the operator has to do, since an apply goes by the inventory."""
    goes = {host: (of.current, of.back(to)) for host, of in stands.items()}
    releases = {back_to.release for _, back_to in goes.values() if back_to}
    settings = [  # that went back on these hosts, and nothing else
        host
        for host, (left, back_to) in goes.items()
        if left and back_to and left.id != back_to.id and left.release == back_to.release
    ]
    lines = []
    if named != releases:
        lines.append(
            f"The inventory still names {' and '.join(sorted(named))}. Name {' and '.join(sorted(releases))} "
            "in its group_data, or the next apply leaves it again."
        )
    elif not settings:
        lines.append(
            f"The inventory names {' and '.join(sorted(named))}: sealift apply makes the hosts as it says."
        )
    if settings:
        where = "" if len(settings) == len(stands) else f"{', '.join(settings)}: "
        lines.append(
            f"{where}The release is the same as before. The inventory still has the settings of the "
            "generation just left. Take the change back there, or the next apply or rollout brings it again."
        )
    return "\n".join(lines)


def _show(stands: Mapping[str, Stands], to: str | None, way: Way | None, dry_run: bool) -> None:
    goes = "would go back to" if dry_run else "goes back to"
    table = Table(*(["wave"] if way else []), "host", "in force", goes, "there since")
    for host in [host for wave in way.order.waves for host in wave] if way else stands:
        each = stands[host]
        back_to = each.back(to)
        if back_to is None or each.current is None:  # for the type checker: it was refused
            raise AssertionError
        same = back_to.id == each.current.id
        table.add_row(
            *([str(way.order.wave_of(host))] if way else []),
            host,
            _named(each.current),
            f"{_named(back_to)}{', in force already' if same else ''}",
            f"{back_to.placed:%Y-%m-%d %H:%M} UTC",
        )
    show(table)
    for host in stands:
        if way and (names := way.order.alone(host)):
            say(f"{host} is not drained: no other host answers {', '.join(names)}")


def _named(kept: Kept) -> str:
    return f"{kept.release} ({kept.id})"


def _data(stands: Stands, to: str | None, host: str, way: Way | None) -> dict[str, object]:
    def kept(found: Kept | None) -> dict[str, object] | None:
        if found is None:
            return None
        return {
            "generation": found.id,
            "release": found.release,
            "bundle": found.bundle,
            "placed": found.placed.isoformat(),
        }

    return {
        "current": kept(stands.current),
        "back_to": kept(stands.back(to)),
        "armed": stands.armed,
        "wave": way.order.wave_of(host) if way else 1,
        "drains": bool(way and way.order.drains(host)),
    }


def _outcome(outcome: Outcome) -> dict[str, object]:
    return {
        "ok": outcome.ok,
        "did": outcome.did,
        "differs": outcome.differs,
        "error": outcome.error,
        "stays_drained": outcome.stays_drained,
    }


class View:
    """Tells of hosts that go back; they go on where nobody reads it any more."""

    def __init__(self, site: str, as_json: bool) -> None:
        """+ as_json: nothing but what goes wrong."""
        self._site, self._as_json = site, as_json
        self._out, self._errors = console(lasting=True), console(errors=True, lasting=True)
        self.heard = Heard(self.line, self.wrong, self.outcome, self._waiting)

    def line(self, text: str) -> None:
        """Take what was done."""
        if not self._as_json:
            self._out.print(printable(text), soft_wrap=True)

    def wrong(self, text: str) -> None:
        """Take what the operator should know at once."""
        self._errors.print(printable(text), style="red", soft_wrap=True)

    def outcome(self, host: str, each: Outcome) -> None:
        """Take what came of a host."""
        if each.error:
            self.wrong(each.error)
        for line in each.differs:
            self.wrong(f"{host}: {line}")
        if each.stays_drained:
            self.wrong(
                f"{host}: stays drained. Look at it; once sealift rollback {self._site} --limit {host} finds "
                f"nothing wrong: sealift undrain {self._site} {host}"
            )
        if each.ok:
            self.line(f"{host}: is what the record says: {each.release}")

    @contextmanager
    def _waiting(self, what: str) -> Iterator[Callable[[str], None]]:
        with working(what) as work:
            yield work.now
