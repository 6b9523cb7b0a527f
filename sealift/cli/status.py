"""status: what stands on the hosts of an inventory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import typer
from rich.box import SIMPLE_HEAD
from rich.filesize import decimal
from rich.table import Table

from sealift.cli.console import say, show
from sealift.cli.fleet import asking, hashing
from sealift.cli.options import AsJson, CheckBlobs, Exclude, InventoryName, Limit, print_json
from sealift.drift.status import HostStatus, fleet_status
from sealift.fleet.blob_check import damaged_blobs
from sealift.fleet.status import Standing
from sealift.fleet.survey import Target, targets
from sealift.site.check import site_warnings
from sealift.site.inventory import load_inventory


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("status")(status)


def status(
    inventory: InventoryName,
    limit: Limit = None,
    exclude: Exclude = None,
    check_blobs: CheckBlobs = False,
    as_json: AsJson = False,
) -> None:
    """Show what stands on every host, where it differs from the inventory, and what runs out within 30 days.

    Exit code 0: everything is as it should be. 1: something is not, or a host does not answer.

    Example: sealift status staging
    """
    site = load_inventory(inventory).limited(limit, exclude)
    found = targets(site)
    with asking(site):
        statuses = fleet_status(found)
    if check_blobs:
        statuses = _with_damaged(statuses, found)
    if as_json:
        print_json([{**dataclasses.asdict(host), "ok": host.ok} for host in statuses])
    else:
        _print_statuses(statuses)
        for line in site_warnings(site.hosts, datetime.now(UTC)):
            say(f"warning: {line}")
    if not all(host.ok for host in statuses):
        raise typer.Exit(1)


def _with_damaged(statuses: tuple[HostStatus, ...], found: tuple[Target, ...]) -> tuple[HostStatus, ...]:
    """The same with what hashing finds on the hosts that answer."""
    answering = {status.host for status in statuses if status.standing}
    with hashing(len(answering)):
        damaged = damaged_blobs([t for t in found if t.host.name in answering], mark=False)
    return tuple(replace(each, differs=each.differs + damaged.get(each.host, ())) for each in statuses)


def _with_roles(standing: Standing) -> Iterator[str]:
    """The models, each with the roles that it answers; a role is a model to Ollama, named ROLE:latest."""
    for model in standing.models:
        if model.removesuffix(":latest") not in standing.roles:
            roles = [role for role, answering in sorted(standing.roles.items()) if answering == model]
            loaded = {model, *(f"{role}:latest" for role in roles)} & set(standing.loaded)
            said = f"{model} ({', '.join(roles)})" if roles else model
            yield f"{said} loaded" if loaded else said


def _print_statuses(statuses: tuple[HostStatus, ...]) -> None:
    columns = ("host", "release", "containers", "models", "disk free", "as wanted")
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for status in statuses:
        standing, name = status.standing, f"{status.host}\ndrained" if status.drained else status.host
        if standing is None:
            table.add_row(name, *["?"] * 4, status.error)
            continue
        table.add_row(
            name,
            standing.release or "-",
            "\n".join(map(str, standing.containers)),
            "\n".join(_with_roles(standing)),
            "-" if standing.disk_free is None else decimal(standing.disk_free),
            "\n".join(status.differs) or "yes",
        )
    show(table)
