"""diff: what differs between two releases, and how every command shows that."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.filesize import decimal
from rich.table import Table

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.cli.console import say, show
from sealift.cli.options import AsJson, print_json
from sealift.depot.store import Depot, read_lock
from sealift.errors import SealiftError, printable
from sealift.oci.layout import read_index, read_layout
from sealift.release.changes import Change, Changes, compare
from sealift.release.locked import Lock
from sealift.release.lockfile import load_lock

_MARKS = {"added": "+", "removed": "-", "changed": "~"}


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("diff")(diff)


def diff(
    before: Annotated[str, typer.Argument(help="A lock, a bundle's folder, or NAME:VERSION of a depot.")],
    after: Annotated[str, typer.Argument(help="What to compare it with.")],
    depot: Annotated[
        Path | None, typer.Option(help="Where NAME:VERSION is looked up.", file_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what differs between two releases, and the bytes that a site with the first one lacks.

    A bundle's lock is read, not its signature: import checks that.

    Example: sealift diff demo:2026.11.0 /media/stick/bundle --depot /srv/depot
    """
    changes = compare(_load(before, depot), _load(after, depot))
    if as_json:
        print_json(changes_json(changes))
    else:
        print_changes(changes)


def print_changes(changes: Changes) -> None:
    """Print a table of what differs, and what of it has to be carried."""
    if changes.changes:
        table = Table("", "what", "name")
        for text in ("before", "after"):
            table.add_column(text, overflow="fold")
        table.add_column("bytes", no_wrap=True)
        for change in changes.changes:
            table.add_row(*map(printable, _cells(change)))
        show(table)
    else:
        say("nothing differs")
    if changes.carry or changes.drop:
        carry, drop = _amount(changes.carry, changes.carry_size), _amount(changes.drop, changes.drop_size)
        say(f"to carry: {carry}; no longer needed: {drop}")


def changes_json(changes: Changes) -> dict[str, Any]:
    """The same for programs."""
    return {
        "changes": [{**asdict(change), "what": change.what} for change in changes.changes],
        "carry": {"blobs": len(changes.carry), "bytes": changes.carry_size},
        "drop": {"blobs": len(changes.drop), "bytes": changes.drop_size},
    }


def _load(given: str, depot: Path | None) -> Lock:
    path = Path(given)
    if path.is_dir():
        store = BlobStore(path)
        return read_lock(read_layout(read_index(path), store), store)
    if path.is_file():
        return load_lock(path)
    if depot is None:
        raise SealiftError(
            f"{given}: not found, expected a lock or a bundle's folder. "
            "Name the depot with --depot where it is a release in one."
        )
    return Depot(depot).resolve(given).lock


def _cells(change: Change) -> tuple[str, ...]:
    sizes = [decimal(size) for size in (change.size_before, change.size_after) if size]
    if change.what == "changed" and change.size_before == change.size_after:
        sizes = sizes[:1]
    before, after = change.before or "", change.after or ""
    return (_MARKS[change.what], change.kind, change.name, before, after, " → ".join(sizes))


def _amount(blobs: tuple[Blob, ...], size: int) -> str:
    return f"{len(blobs)} {'blob' if len(blobs) == 1 else 'blobs'}, {decimal(size)}" if blobs else "nothing"
