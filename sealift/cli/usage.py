"""usage: what the gateways' clients used."""

from __future__ import annotations

import csv
import dataclasses
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from sealift.cli.console import complain, show, working
from sealift.cli.options import AsJson, Exclude, InventoryName, Limit, print_json
from sealift.clients.usage import By, Log, Usage, parse_since, read_logs, sum_up
from sealift.errors import SealiftError
from sealift.site.inventory import load_inventory


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("usage")(usage)


def usage(
    inventory: InventoryName,
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back: 45m, 12h, 30d.")] = "30d",
    by: Annotated[By, typer.Option(help="What to sum by.")] = "client",
    limit: Limit = None,
    exclude: Exclude = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the result as CSV.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sum up tokens, requests and times by client, role or host, out of the gateways' logs.

    Where a host's log does not go back that far, it is named.

    Example: sealift usage prod --since 7d --by role
    """
    if as_csv and as_json:
        raise SealiftError("--csv and --json: expected one of them. Leave one out.")
    start = datetime.now(UTC) - parse_since(since)
    site = load_inventory(inventory).limited(limit, exclude)
    with working(f"reading the logs of {len(site.hosts)} gateways"):
        logs = read_logs(site.hosts, start)
    used = sum_up(logs, by)
    for line in _gaps(logs, start):
        complain(line)
    if as_json:
        print_json({name: dataclasses.asdict(each) for name, each in used.items()})
    elif as_csv:
        columns = [by, *(field.name for field in dataclasses.fields(Usage))]
        writer = csv.writer(sys.stdout)
        writer.writerows([columns, *([name, *dataclasses.astuple(each)] for name, each in used.items())])
    else:
        show(_table(by, used))


def _gaps(logs: Mapping[str, Log], start: datetime) -> list[str]:
    """Hosts whose logs do not reach back to the start."""
    wanted = start.strftime("%Y-%m-%dT%H:%M:%S")
    lines = []
    for host, log in logs.items():
        if log.begins is None:
            lines.append(f"{host}: its gateway has noted no request. Nothing of it is counted.")
        elif log.begins > wanted:
            lines.append(f"{host}: its log begins at {log.begins}. What came before is not counted.")
    return lines


def _table(by: By, used: Mapping[str, Usage]) -> Table:
    columns = (by, "requests", "refused", "unknown", "tokens in", "tokens out", "first token", "answer")
    more = ("tokens/s", "loading")
    table = Table(*columns, *more, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name, each in used.items():
        numbers = (each.requests, each.refused, each.unknown, each.tokens_in, each.tokens_out)
        rate = "-" if each.tokens_per_second is None else f"{each.tokens_per_second:.1f}"
        times = (_seconds(each.first_token_ms), _seconds(each.answer_ms), rate, _seconds(each.load_ms))
        table.add_row(name, *map(str, numbers), *times)
    return table


def _seconds(milliseconds: int | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds / 1000:.2f} s"
