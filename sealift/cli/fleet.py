"""preflight, ship, apply, status, ask: a release onto the hosts of an inventory."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from sealift.cli.options import AsJson, InventoryName, Limit, print_json
from sealift.cli.progress import shown
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.fleet.ask import Answer
from sealift.fleet.ask import ask as ask_host
from sealift.fleet.rollout import Change, WaveResult, apply_wave, one_rollout, plan_wave
from sealift.fleet.status import HostStatus, Standing, fleet_status
from sealift.fleet.survey import Survey, Target, only_depot, survey, targets
from sealift.lab.network import entering, is_inside, lab_of
from sealift.ship.shipping import ship
from sealift.ship.types import Shipped
from sealift.site.inventory import Inventory, load_inventory


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    app.command("preflight")(preflight)
    app.command("ship")(ship_command)
    app.command("apply")(apply)
    app.command("status")(status)
    app.command("ask")(ask)


def preflight(inventory: InventoryName, limit: Limit = None, as_json: AsJson = False) -> None:
    """Check whether every host can take its release. Changes nothing.

    Exit code 0: all can. 1: some cannot, and each reason is listed.
    """
    found, surveyed, seconds = _surveyed(_load(inventory, limit))
    if as_json:
        print_json({target.host.name: _plan_data(target, surveyed) for target in found})
    else:
        _say(_fit_for_it(found, seconds))


def ship_command(inventory: InventoryName, limit: Limit = None, as_json: AsJson = False) -> None:
    """Bring into every host's store what it lacks of its release. Deploys nothing.

    Killed at any moment, it goes on where it stopped when it is run again.
    """
    site = _load(inventory, limit)
    depot = only_depot(site)
    found, _, _ = _surveyed(site)
    with one_rollout(depot.path):
        shipped, seconds = _ship(found, depot)
    if as_json:
        print_json({host: dataclasses.asdict(done) for host, done in shipped.items()})
    else:
        _say(_what_was_shipped(shipped, seconds))


def apply(
    inventory: InventoryName,
    limit: Limit = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be shipped and changed; change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make every host what its release and the inventory say: preflight, ship, then pyinfra once.

    A host that is so already is left alone. Killed at any moment, it finishes when it is run again.

    Example: sealift apply staging --limit llm1.staging.example --dry-run
    """
    site = _load(inventory, limit)
    depot = only_depot(site)
    found, surveyed, seconds = _surveyed(site)
    say = _quiet if as_json else _say
    say(_fit_for_it(found, seconds))
    if dry_run:
        with _operations() as operation:
            changes = plan_wave(site, depot.path / "plan.log", operation)
        if as_json:
            print_json(
                {
                    target.host.name: {
                        **_plan_data(target, surveyed),
                        "changes": [dataclasses.asdict(change) for change in changes[target.host.name]],
                    }
                    for target in found
                }
            )
        else:
            _print_plan(found, surveyed, changes)
        return
    with one_rollout(depot.path):
        shipped, seconds = _ship(found, depot)
        say(_what_was_shipped(shipped, seconds))
        started = time.monotonic()
        with _operations() as operation:
            result = apply_wave(site, depot.path / "rollout.log", operation)
    if as_json:
        print_json({host: dataclasses.asdict(done) for host, done in result.hosts.items()})
    else:
        _print_result(result, time.monotonic() - started)
    if not result.ok:
        raise typer.Exit(1)


def status(inventory: InventoryName, limit: Limit = None, as_json: AsJson = False) -> None:
    """Show what stands on every host, and where it differs from the inventory.

    Exit code 0: everything is as it should be. 1: something is not, or a host does not answer.
    """
    site = _load(inventory, limit)
    with _asking(site):
        statuses = fleet_status(targets(site))
    if as_json:
        print_json([{**dataclasses.asdict(host), "ok": host.ok} for host in statuses])
    else:
        _print_statuses(statuses)
    if not all(host.ok for host in statuses):
        raise typer.Exit(1)


def ask(
    inventory: InventoryName,
    role: Annotated[str, typer.Argument(help="Who is to answer, such as chat.")],
    text: Annotated[str, typer.Argument(help="The prompt.")],
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Ask one host after another through its gateway, as an application would.

    Exit code 0: all answered.

    Example: sealift ask lab chat "What is the capital of France?"
    """
    site = _load(inventory, limit)
    _enter_the_network_of(site)
    answers: dict[str, Answer] = {}
    errors: list[str] = []
    for host in site.hosts:
        with Console(stderr=True).status(f"{host.name} is thinking"):
            try:
                answers[host.name] = ask_host(host, role, text)
            except SealiftError as error:
                errors.append(str(error))
    if as_json:
        print_json({host: dataclasses.asdict(answer) for host, answer in answers.items()})
    elif answers:
        table = Table("host", "answer", "tokens/s", "seconds")
        for name, answer in answers.items():
            table.add_row(name, answer.text, f"{answer.tokens_per_second:.1f}", f"{answer.seconds:.1f}")
        Console(highlight=False, markup=False).print(table)
    if errors:
        raise SealiftError("\n".join(errors))


def _enter_the_network_of(site: Inventory) -> None:
    """Start anew in a lab's closed network, where its gateways are; other hosts are reached from here."""
    lab = lab_of(site.hosts[0].settings.ssh_config_file)
    if lab and not is_inside(lab):
        command = entering(lab, [sys.executable, *sys.argv])
        os.execvp(command[0], command)  # noqa: S606 - no shell is meant


def _load(inventory: str, limit: list[str] | None) -> Inventory:
    return load_inventory(inventory).limited(limit or ())


def _surveyed(site: Inventory) -> tuple[tuple[Target, ...], Survey, float]:
    """Ask all hosts; give the seconds it took. Raises SealiftError with what keeps any from its release."""
    started = time.monotonic()
    with _asking(site):
        found = targets(site)
        surveyed = survey(found)
    if surveyed.problems:
        raise SealiftError("\n".join((*surveyed.problems, "Refused: nothing was changed on any host.")))
    return found, surveyed, time.monotonic() - started


@contextmanager
def _asking(site: Inventory) -> Iterator[None]:
    """A host that does not answer is waited for a minute: say so."""
    with shown() as progress:
        progress(f"asking {_hosts(len(site.hosts))}", 0, 0)
        yield


def _ship(found: tuple[Target, ...], depot: Depot) -> tuple[Mapping[str, Shipped], float]:
    started = time.monotonic()
    with shown() as progress:
        shipped = ship([target.order for target in found], depot, progress).all()
    return shipped, time.monotonic() - started


def _plan_data(target: Target, surveyed: Survey) -> dict[str, object]:
    plan = surveyed.plans[target.host.name]
    return {
        "release": target.release,
        "bundle": target.stored.digest,
        "bytes_to_ship": plan.bytes_total,
        "blobs_to_ship": len(plan.items),
    }


@contextmanager
def _operations() -> Iterator[Callable[[str], None]]:
    """A callback that shows pyinfra's operation of the moment on standard error while it is a terminal."""
    with Console(stderr=True).status("pyinfra: connecting") as shown_status:
        yield lambda operation: shown_status.update(f"pyinfra: {escape(operation)}")


def _say(text: str) -> None:
    Console(highlight=False, markup=False, soft_wrap=True).print(text)


def _hosts(count: int) -> str:
    return f"{count} host" if count == 1 else f"{count} hosts"


def _quiet(text: str) -> None:
    """What is said along the way has no place in JSON."""


def _fit_for_it(found: tuple[Target, ...], seconds: float) -> str:
    releases = " and ".join(sorted({target.release for target in found}))
    return f"preflight  {_hosts(len(found))} can take {releases} ({seconds:.1f} s)"


def _what_was_shipped(shipped: Mapping[str, Shipped], seconds: float) -> str:
    total = sum(done.bytes for done in shipped.values())
    blobs = sum(done.blobs for done in shipped.values())
    if not blobs:
        return f"shipping   no change ({seconds:.1f} s)"
    rate = decimal(int(total / seconds))
    return f"shipping   {blobs} blobs, {decimal(total)} to {_hosts(len(shipped))} ({seconds:.1f} s, {rate}/s)"


def _print_plan(
    found: tuple[Target, ...], surveyed: Survey, changes: Mapping[str, tuple[Change, ...]]
) -> None:
    table = Table("host", "release", "to ship", "would change")
    for target in found:
        plan, planned = surveyed.plans[target.host.name], changes.get(target.host.name, ())
        depending = sum(change.depends for change in planned)
        certain = len(planned) - depending
        table.add_row(
            target.host.name,
            target.release,
            f"{decimal(plan.bytes_total)} in {len(plan.items)} blobs",
            f"{certain} + {depending} that depend on them" if depending else str(certain),
        )
    Console(highlight=False).print(table)
    operations = {change.operation: None for planned in changes.values() for change in planned}
    for operation in operations:
        hosts = [host for host, planned in changes.items() if operation in {c.operation for c in planned}]
        _say(f"  {operation}: {', '.join(hosts)}")


def _print_result(result: WaveResult, seconds: float) -> None:
    table = Table("host", "changed", "unchanged", "failed")
    for host, done in result.hosts.items():
        failed = str(len(done.failed)) if done.reached else f"{len(done.failed)} (lost)"
        table.add_row(host, str(len(done.changed)), str(done.unchanged), failed)
    Console(highlight=False).print(table)
    for operation in dict.fromkeys(name for done in result.hosts.values() for name in done.changed):
        hosts = [host for host, done in result.hosts.items() if operation in done.changed]
        _say(f"  changed on {', '.join(hosts)}: {operation}")
    verdict = "done" if result.ok else f"failed; what pyinfra said is in {result.log}"
    _say(f"deploying  {verdict} ({seconds:.1f} s)")


def _with_roles(standing: Standing) -> Iterator[str]:
    """The models, each with the roles that it answers; a role is a model to Ollama, named ROLE:latest."""
    for model in standing.models:
        if model.removesuffix(":latest") not in standing.roles:
            roles = [role for role, answering in sorted(standing.roles.items()) if answering == model]
            yield f"{model} ({', '.join(roles)})" if roles else model


def _print_statuses(statuses: tuple[HostStatus, ...]) -> None:
    columns = ("host", "release", "containers", "models", "disk free", "as wanted")
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for status in statuses:
        standing = status.standing
        if standing is None:
            table.add_row(status.host, *["?"] * 4, status.error)
            continue
        table.add_row(
            status.host,
            standing.release or "-",
            "\n".join(map(str, standing.containers)),
            "\n".join(_with_roles(standing)),
            "-" if standing.disk_free is None else decimal(standing.disk_free),
            "\n".join(status.differs) or "yes",
        )
    Console(highlight=False, markup=False).print(table)
