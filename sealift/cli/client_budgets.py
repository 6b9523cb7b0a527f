"""clients budgets: what clients with a budget used of it, on each host."""

from __future__ import annotations

import dataclasses

import typer
from rich.table import Table

from sealift.cli.console import complain, show, working
from sealift.cli.options import AsJson, InventoryName, Limit, print_json
from sealift.clients.budgets import Spent, read_sums, spent
from sealift.site.clients import clients_of
from sealift.site.inventory import load_inventory


def budgets(name: InventoryName, limit: Limit = None, as_json: AsJson = False) -> None:
    """Show how much of their budgets clients have used up, on each host by itself.

    Exit code 0: every host counts. 1: one does not answer, or does not count now.

    Example: sealift clients budgets prod
    """
    site = load_inventory(name).limited(limit)
    clients = clients_of(site)
    with working(f"asking {len(site.hosts)} hosts"):
        sums, silent = read_sums(site.hosts)
    found = spent(clients, sums)
    if as_json:
        print_json([{**dataclasses.asdict(each), "until": each.until.isoformat()} for each in found])
    else:
        show(_table(found))
    for line in silent:
        complain(line)
    if silent:
        raise typer.Exit(1)


def _table(found: tuple[Spent, ...]) -> Table:
    table = Table("client", "host", "tokens", "of", "a", "until, in UTC")
    for each in found:
        until = f"{each.until:%Y-%m-%d %H:%M}"
        table.add_row(each.client, each.host, str(each.used), str(each.of), each.period, until)
    return table
