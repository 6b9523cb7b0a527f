"""drain and undrain: a host that front doors send nothing to, and what runs there finishes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import typer

from sealift.cli.console import complain, say, working
from sealift.cli.options import AsJson, InventoryName, print_json
from sealift.cli.waiting import asking
from sealift.errors import SealiftError
from sealift.fleet import generations
from sealift.fleet.in_force import in_force
from sealift.live.drain import Fronts, fronts_of, host_behind, needed_for, set_drained, still_running
from sealift.live.push import Pushed, no_rollout
from sealift.live.stand_in import until_idle
from sealift.site.drained import read_drained
from sealift.site.inventory import Host, Inventory, load_inventory

_Name = Annotated[str, typer.Argument(metavar="HOST", help="Its name in the inventory.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    app.command("drain")(drain)
    app.command("undrain")(undrain)


def drain(
    name: InventoryName,
    host: _Name,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until nothing runs there any more, for rollout.drain_s at most.")
    ] = False,
    last: Annotated[
        bool, typer.Option("--last", help="Also where no other host answers one of its roles.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Have every front door send a host nothing more. What runs there goes on to its end.

    It stays drained, whatever is applied, until you undrain it. Who asks its own gateway is not turned away.

    Exit code 0: every front door sends it nothing; with --wait, nothing runs there. 1: one has not confirmed,
    or with --wait, something still runs there.

    Example: sealift drain prod llm1 --wait
    """
    inventory = load_inventory(name)
    with no_rollout(inventory):
        site = _as_it_runs(inventory)
        fronts = fronts_of(site)
        found = host_behind(site, fronts, host)
        needed = needed_for(fronts.fleet, host)
        if needed and not last:
            raise SealiftError(
                f"{host}: no other host that is not drained answers {', '.join(needed)}. Undrain one first, "
                "or drain it all the same: --last."
            )
        with working("telling the front doors"):
            pushed = set_drained(site, [found], drained=True)
    confirmed = replace(
        fronts, doors=fronts.doors.limited([each.host for each in pushed if each.confirmed] or None)
    )
    running = still_running(confirmed, host) if any(each.confirmed for each in pushed) else {}
    if not as_json:
        _tell(pushed, running, host)
    if wait and any(running.values()):
        running = _wait(confirmed, host, found.settings.rollout.drain_s)
    left = sum(running.values()) if wait else 0
    if as_json:
        doors = [{**dataclasses.asdict(each), "running": running.get(each.host)} for each in pushed]
        print_json({"host": host, "drained": True, "front_doors": doors})
    elif wait and not left and all(each.ok for each in pushed):
        say(f"{host}: nothing runs there any more")
    if left:
        waited = f"{found.settings.rollout.drain_s} s (rollout.drain_s)"
        complain(
            f"{host}: {_requests(left)} there after {waited}, expected none. It stays drained; to wait on, "
            "run this command again."
        )
    _end(pushed)
    if left:
        raise typer.Exit(1)


def undrain(name: InventoryName, host: _Name, as_json: AsJson = False) -> None:
    """Have every front door send a host requests again.

    Exit code 0: every front door does. 1: one has not confirmed it.

    Example: sealift undrain prod llm1
    """
    inventory = load_inventory(name)
    with no_rollout(inventory):
        site = _as_it_runs(inventory)
        fronts = fronts_of(site)
        found = _drained(site, host) or host_behind(site, fronts, host)
        with working("telling the front doors"):
            pushed = set_drained(site, [found], drained=False)
    if as_json:
        doors = [dataclasses.asdict(each) for each in pushed]
        print_json({"host": host, "drained": False, "front_doors": doors})
    else:
        _tell(pushed, {}, host)
    _end(pushed)


def _as_it_runs(site: Inventory) -> Inventory:
    """A site by the releases that its hosts run: front doors are told what these answer.

    Its locks are held already: no rollout changes what hosts run before front doors are told.
    """
    with asking(len(site.hosts)):
        return in_force(site, generations.stands(site.hosts, generations.SHORT_S).results)


def _drained(site: Inventory, name: str) -> Host | None:
    """A host of this name that is drained, also where by its release now it would be sent nothing."""
    hosts = (host for host in site.hosts if host.name == name)
    return next((host for host in hosts if name in read_drained(host.settings)), None)


def _tell(pushed: tuple[Pushed, ...], running: Mapping[str, int], host: str) -> None:
    for each in pushed:
        if each.confirmed:
            left = f", {_requests(running[each.host])} on {host}" if each.host in running else ""
            say(f"{each.host}: confirmed after {each.seconds:.1f} s{left}")
        elif each.ok:
            say(f"{each.host}: has no front door yet, and gets the list of hosts with it")
        else:
            complain(f"{each.host}: {each.problem}")


def _wait(fronts: Fronts, host: str, most_s: int) -> Mapping[str, int]:
    """Wait until nothing runs; gives what the front doors said last.

    + most_s: seconds after which it is given up
    """
    said: dict[str, int] = {}

    def ask() -> Mapping[str, Mapping[str, int]]:
        said.update(still_running(fronts, host))
        return {door: {host: count} for door, count in said.items()}

    with working(f"{host}: waiting") as work:
        until_idle(ask, (host,), most_s, work.now)
    return said


def _requests(count: int) -> str:
    return f"{count} request still runs" if count == 1 else f"{count} requests still run"


def _end(pushed: tuple[Pushed, ...]) -> None:
    if not all(each.ok for each in pushed):
        complain("Not every front door goes by this. Once the hosts answer, run this command again.")
        raise typer.Exit(1)
