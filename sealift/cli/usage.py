"""usage: what the gateways' clients used."""

from __future__ import annotations

import csv
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from sealift.cli.console import complain, show, working
from sealift.cli.options import AsJson, Exclude, InventoryName, Limit, print_json
from sealift.clients.kept_usage import Kept, earlier, kept_usage, merged
from sealift.clients.usage import By, Usage, parse_since, read_logs, sum_up
from sealift.errors import SealiftError
from sealift.services import MONITOR_GROUP
from sealift.site.inventory import Inventory, load_inventory


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
    """Sum up tokens, requests and times by client, role or host.

    It reads the gateways' logs, and asks Prometheus for the time before them. A host of which less is known
    is named.

    Example: sealift usage prod --since 7d --by role
    """
    if as_csv and as_json:
        raise SealiftError("--csv and --json: expected one of them. Leave one out.")
    now = datetime.now(UTC)
    start = now - parse_since(since)
    site = load_inventory(inventory).limited(limit, exclude)
    with working(f"reading the logs of {len(site.hosts)} gateways"):
        logs = read_logs(site.hosts, start)
    begins = {host: log.begins for host, log in logs.items()}
    used, source = sum_up(logs, by), "the gateways' logs"
    for until, names in earlier(begins, start, now).items():
        if kept := _kept(site, names, (start, until), by):
            used, source = (
                merged(kept.used, used),
                f"the gateways' logs; before them, Prometheus on {kept.host}",
            )
            begins |= {name: kept.begins[name] for name in names if name in kept.begins}
    for line in _gaps(begins, start):
        complain(line)
    if as_json:
        print_json({name: dataclasses.asdict(each) for name, each in used.items()})
    elif as_csv:
        columns = [by, *(field.name for field in dataclasses.fields(Usage))]
        writer = csv.writer(sys.stdout)
        writer.writerows([columns, *([name, *dataclasses.astuple(each)] for name, each in used.items())])
    else:
        show(_table(by, used, source))


def _gaps(begins: Mapping[str, datetime | None], start: datetime) -> list[str]:
    """Hosts of which less is known than was asked for."""
    lines = []
    for host, begin in begins.items():
        if begin is None:
            lines.append(f"{host}: nothing is known of its requests. Nothing of it is counted.")
        elif begin > start:
            lines.append(
                f"{host}: known since {begin:%Y-%m-%d %H:%M:%S} UTC. What came before is not counted."
            )
    return lines


def _kept(site: Inventory, names: Sequence[str], over: tuple[datetime, datetime], by: By) -> Kept | None:
    """What Prometheus kept of some hosts, where the site has one that answers."""
    hosts = [host for host in site.whole.hosts if MONITOR_GROUP in host.groups]
    if not hosts:
        return None
    start, end = (int(each.timestamp()) for each in over)
    try:
        with working("asking Prometheus, which reaches back further"):
            return kept_usage(hosts, names, (start, end), by)
    except SealiftError as error:
        complain(str(error))
        return None


def _table(by: By, used: Mapping[str, Usage], source: str) -> Table:
    columns = (by, "requests", "refused", "unknown", "tokens in", "tokens out", "first token", "answer")
    more = ("tokens/s", "loading")
    table = Table(*columns, *more, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.caption, table.caption_justify = f"Out of {source}", "left"
    for name, each in used.items():
        numbers = (each.requests, each.refused, each.unknown, each.tokens_in, each.tokens_out)
        rate = "-" if each.tokens_per_second is None else f"{each.tokens_per_second:.1f}"
        times = (_seconds(each.first_token_ms), _seconds(each.answer_ms), rate, _seconds(each.load_ms))
        table.add_row(name, *("-" if number is None else str(number) for number in numbers), *times)
    return table


def _seconds(milliseconds: int | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds / 1000:.2f} s"
