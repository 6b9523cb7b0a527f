"""Arguments and options that several commands have, and how all of them print JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sealift.files import canonical_json

InventoryName = Annotated[
    str, typer.Argument(metavar="SITE", help="Your inventory: its name, its folder, or its file.")
]
Exclude = Annotated[
    list[str] | None, typer.Option("--exclude", help="Not this host or group; repeat for more.")
]
Full = Annotated[bool, typer.Option("--full", help="Visit hosts as well that are as they should be already.")]
Limit = Annotated[list[str] | None, typer.Option("--limit", help="Only this host or group; repeat for more.")]
Sources = Annotated[
    Path, typer.Option(help="Folder that paths in the release file are relative to.", file_okay=False)
]
Project = Annotated[
    Path,
    typer.Option(
        help="Folder of the deployment code, a git checkout: goes to the control node.", file_okay=False
    ),
]
CheckBlobs = Annotated[
    bool,
    typer.Option("--check-blobs", help="Hash every blob on the hosts, too: as long as reading them takes."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def print_json(value: Any) -> None:
    """Print a result for programs.

    + value: what `json` can write
    """
    typer.echo(canonical_json(value, indent=1), nl=False)
