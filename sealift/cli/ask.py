"""ask: a prompt to the hosts of an inventory."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.table import Table

from sealift.cli.console import show, working
from sealift.cli.options import AsJson, Exclude, InventoryName, Limit, print_json
from sealift.cli.reaching import start_where_hosts_are
from sealift.errors import SealiftError
from sealift.fleet.ask import Answer, hosts_that_serve
from sealift.fleet.ask import ask as ask_host
from sealift.fleet.survey import targets
from sealift.site.inventory import load_inventory


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("ask")(ask)


def ask(
    inventory: InventoryName,
    role: Annotated[str, typer.Argument(help="Who is to answer, such as chat.")],
    text: Annotated[str, typer.Argument(help="The prompt.")],
    limit: Limit = None,
    exclude: Exclude = None,
    as_json: AsJson = False,
) -> None:
    """Ask one host after another through its gateway, as an application would.

    Exit code 0: all answered.

    Example: sealift ask lab chat "What is the capital of France?"
    """
    site = load_inventory(inventory).limited(limit, exclude)
    hosts = hosts_that_serve(role, targets(site))
    start_where_hosts_are(site)
    answers: dict[str, Answer] = {}
    errors: list[str] = []
    for host in hosts:
        with working(f"{host.name} is thinking"):
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
        show(table)
    if errors:
        raise SealiftError("\n".join(errors))
