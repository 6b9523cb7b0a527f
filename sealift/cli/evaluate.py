"""evaluate: the release's golden questions, beside the answers of the release before."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from sealift.cli.console import say, show, working
from sealift.cli.options import AsJson, Exclude, InventoryName, Limit, print_json
from sealift.cli.reaching import start_where_hosts_are
from sealift.errors import one_line
from sealift.fleet.status import fleet_standing
from sealift.fleet.survey import targets
from sealift.quality.evaluate import check_standing, evaluate, one_bundle, results_folder
from sealift.quality.results import Compared, Results, compared, keep, last_of_another
from sealift.site.inventory import load_inventory

_SHOWN = 60  # characters of a question or an answer


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("evaluate")(evaluate_command)


def evaluate_command(
    inventory: InventoryName,
    role: Annotated[
        str | None, typer.Option(help="Only this role's questions.", show_default="all roles")
    ] = None,
    limit: Limit = None,
    exclude: Exclude = None,
    as_json: AsJson = False,
) -> None:
    """Ask every host the golden questions that the release brings, and compare with the release before.

    The answers are kept beside the evidence.

    Exit code 0: every answer is good. 1: some answer is not.

    Example: sealift evaluate prod --role chat
    """
    site = load_inventory(inventory).limited(limit, exclude)
    found = targets(site)
    bundle = one_bundle(site, found)
    start_where_hosts_are(site)
    check_standing(found, fleet_standing(found))
    with working("golden questions") as work:
        answers = evaluate(found, role, work.now)
    folder, now = results_folder(site), datetime.now(UTC).replace(microsecond=0)
    before = last_of_another(folder, bundle)
    release = found[0].release
    keep(Results(inventory=site.name, release=release, bundle=bundle, at=now, answers=answers), folder)
    rows = compared(answers, before.answers if before else ())
    if as_json:
        print_json(
            {
                "before": before and {"release": before.release, "bundle": before.bundle},
                "questions": [
                    {**dataclasses.asdict(row), "worse": row.worse, "better": row.better} for row in rows
                ],
            }
        )
    else:
        _print(rows, release, before)
    if any(row.failed for row in rows):
        raise typer.Exit(1)


def _print(rows: tuple[Compared, ...], release: str, before: Results | None) -> None:
    table = Table("role", "question", "said", release, before.release if before else "before")
    for row in rows:
        said = row.said[row.failed[0] if row.failed else next(iter(row.said))]
        table.add_row(
            row.role, _short(row.question), _short(said), _good(row.now), _good(row.before) or "not asked"
        )
    show(table)
    for row in rows:
        for host in row.failed:
            good_before = ", and was good before" if host in row.worse else ""
            said = _short(row.said[host])
            say(
                f"{host}: {row.role}: {_short(row.question)!r}: {said!r} {row.now[host]}{good_before}",
                style="red",
            )
    failed, worse = sum(bool(row.failed) for row in rows), sum(bool(row.worse) for row in rows)
    say(f"{len(rows)} golden questions, {failed} answered badly, {worse} of them good before")


def _good(problems: Mapping[str, str | None]) -> str:
    """On how many hosts the answer is good; nothing where none was asked."""
    good = sum(problem is None for problem in problems.values())
    return f"{good} of {len(problems)}" if problems else ""


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
