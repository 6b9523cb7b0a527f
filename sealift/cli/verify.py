"""verify: acceptance on every host, and the evidence of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sealift import progress
from sealift.cli.console import console, say, show
from sealift.cli.options import AsJson, Exclude, InventoryName, Limit, print_json
from sealift.evidence import record
from sealift.evidence.types import Evidence
from sealift.evidence.verify import verify
from sealift.site.inventory import load_inventory


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("verify")(verify_command)


def verify_command(
    inventory: InventoryName,
    limit: Limit = None,
    exclude: Exclude = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for evidence.", file_okay=False, show_default="evidence, beside the depot"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check on every host that it is as the release and the inventory say, and write the evidence.

    Exit code 0: every claim holds. 1: some claim failed.

    Example: sealift verify staging --limit llm1.staging.example
    """
    started = time.monotonic()
    site = load_inventory(inventory).limited(limit, exclude)
    with _percentages() as progress:
        evidence = verify(site, progress)
    folder = record.write(evidence, out or record.lasting_folder(site))
    if as_json:
        print_json(evidence.model_dump(mode="json"))
    else:
        _print(evidence, folder, time.monotonic() - started)
    if evidence.failed:
        raise typer.Exit(1)


@contextmanager
def _percentages() -> Iterator[progress.Progress]:
    """A callback that draws a bar per host on standard error while it is a terminal."""
    errors = console(errors=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        yield report


def _print(evidence: Evidence, folder: Path, seconds: float) -> None:
    table = Table("host", "hold", "failed", "seconds")
    for host in evidence.hosts:
        results = evidence.of(host.name)
        failed = sum(result.outcome == "failed" for result in results)
        took = sum(result.seconds for result in results)
        table.add_row(host.name, str(len(results) - failed), str(failed), f"{took:.0f}")
    show(table)
    for cause in evidence.causes:
        for result in cause:
            say(f"{result.host}: {result.claim}", style="red")
        for line in cause[0].detail.splitlines():
            say(f"    {line}")
    verdict = f"{len(evidence.failed)} failed" if evidence.failed else "all hold"
    say(f"{len(evidence.results)} claims, {verdict}, in {seconds:.0f} s")
    say(f"bundle    {evidence.bundle}\nevidence  {folder / 'evidence.html'}")
