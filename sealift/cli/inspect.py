"""inspect: what is in a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal
from rich.table import Table

from sealift.blobs import BlobStore
from sealift.bundle.build import describe
from sealift.cli.build import bundle_json, print_bundle
from sealift.cli.console import say, show
from sealift.cli.lock import lock_json
from sealift.cli.options import AsJson, print_json
from sealift.depot.store import read_lock
from sealift.errors import SealiftError, printable
from sealift.oci.layout import Layout, read_index, read_layout
from sealift.sbom.summary import SbomSummary, read_sbom, summarise

_TOLD = 8  # licences that a summary names


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("inspect")(inspect)


def inspect(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    as_json: AsJson = False,
    sbom: Annotated[bool, typer.Option("--sbom", help="Print the bundle's SBOM, as it is.")] = False,
) -> None:
    """List what a bundle carries. This checks its index and manifests, not its signature: import does.

    Example: sealift inspect build/bundle
    """
    index, store = read_index(bundle), BlobStore(bundle)
    layout = read_layout(index, store)
    materials = read_sbom(layout, store)
    if sbom:
        _print_sbom(materials, bundle)
        return
    summary = summarise(materials) if materials is not None else SbomSummary({}, {})
    found = read_lock(layout, store)
    info = describe(layout, store)
    if as_json:
        entries = {entry.ref: entry.descriptor.digest for entry in layout.entries}
        counted = {"components": summary.components, "licences": summary.licences}
        print_json({**bundle_json(info), **lock_json(found), "entries": entries, "sbom": counted})
        return
    show(_entries_table(layout))
    if materials is not None:
        say(f"SBOM: {_counted(summary.components)}\nLicences: {_counted(summary.licences)}")
    print_bundle(info, bundle, as_json=False)


def _print_sbom(materials: bytes | None, bundle: Path) -> None:
    if materials is None:
        raise SealiftError(f"{bundle}: has no SBOM. Build it again with this version of sealift.")
    typer.echo(materials, nl=False)


def _counted(amounts: dict[str, int]) -> str:
    told = [f"{printable(name)} {amount}" for name, amount in list(amounts.items())[:_TOLD]]
    more = len(amounts) - len(told)
    return ", ".join([*told, f"{more} others"] if more > 0 else told)


def _entries_table(layout: Layout) -> Table:
    table = Table("entry", "blobs", "bytes", "manifest")
    for entry in layout.entries:
        size = sum(layer.size for layer in entry.manifest.layers)
        table.add_row(
            printable(entry.ref), str(len(entry.manifest.layers)), decimal(size), entry.descriptor.digest[:19]
        )
    return table
