"""build, inspect and import: from a lock to the depot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from sealift.blobs import BlobStore
from sealift.bundle.build import BundleInfo, build, describe
from sealift.bundle.have_list import NOTHING, read_signed
from sealift.bundle.layout import Layout, read_index, read_layout
from sealift.bundle.sbom_summary import SbomSummary, read_sbom, summarise
from sealift.cli.lock import lock_json
from sealift.cli.options import AsJson, Project, Sources, print_json
from sealift.cli.progress import shown
from sealift.depot.importing import Imported, import_bundle
from sealift.depot.store import Depot, read_lock
from sealift.errors import SealiftError, printable
from sealift.release.lockfile import load_lock

_TOLD = 8  # licences that a summary names


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    app.command("build")(build_bundle)
    app.command("inspect")(inspect)
    app.command("import")(import_)


def build_bundle(
    lock: Annotated[Path, typer.Argument(help="Lock, as sealift lock wrote it.")],
    sources: Sources,
    out: Annotated[Path, typer.Option(help="Folder of the bundle.", file_okay=False)],
    key: Annotated[Path, typer.Option(help="OpenSSH key that signs the bundle.")],
    project: Project = Path(),
    have: Annotated[
        Path | None, typer.Option("--for", help="A site's have-list: leave out the blobs that it has.")
    ] = None,
    allowed_signers: Annotated[
        Path | None, typer.Option(help="With --for: who may sign have-lists (ssh-keygen).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build and sign a bundle; one that was interrupted goes on where it stopped.

    With --for it is a delta: the same bundle, of which only that is carried which the site lacks.

    Example: sealift build releases/demo.lock --sources build/ingredients --out build/bundle --key signing_key
    """
    if (have is None) != (allowed_signers is None):
        raise typer.BadParameter("--for and --allowed-signers go together.")
    had = read_signed(have, allowed_signers) if have and allowed_signers else NOTHING
    with shown() as progress:
        info = build(load_lock(lock), sources, out, key, progress, had, project)
    _print_bundle(info, out, as_json)


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
        print_json({**_bundle_json(info), **lock_json(found), "entries": entries, "sbom": counted})
        return
    console = Console(markup=False, highlight=False)
    console.print(_entries_table(layout))
    if materials is not None:
        console.print(f"SBOM: {_counted(summary.components)}\nLicences: {_counted(summary.licences)}")
    _print_bundle(info, bundle, as_json=False)


def import_(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle, as it was carried in.")],
    depot: Annotated[Path, typer.Option(help="The site's depot.", file_okay=False)],
    allowed_signers: Annotated[Path, typer.Option(help="The site's list of allowed signers (ssh-keygen).")],
    as_json: AsJson = False,
) -> None:
    """Verify a bundle's signature and every hash, and take it into the depot.

    Example: sealift import /media/stick/bundle --depot /srv/depot --allowed-signers allowed_signers
    """
    with shown() as progress:
        imported = import_bundle(Depot(depot), bundle, allowed_signers, progress)
    _print_import(imported, as_json)


def _print_sbom(materials: bytes | None, bundle: Path) -> None:
    if materials is None:
        raise SealiftError(f"{bundle}: has no SBOM. Build it again with this version of sealift.")
    typer.echo(materials, nl=False)


def _counted(amounts: dict[str, int]) -> str:
    told = [f"{printable(name)} {amount}" for name, amount in list(amounts.items())[:_TOLD]]
    more = len(amounts) - len(told)
    return ", ".join([*told, f"{more} others"] if more > 0 else told)


def _print_bundle(info: BundleInfo, path: Path, as_json: bool) -> None:
    if as_json:
        print_json(_bundle_json(info))
        return
    summary = f"{path}: {info.blobs} blobs, {decimal(info.size)}"
    if info.is_delta:
        summary += f"; a delta, which carries {info.carried} of them, {decimal(info.carried_size)}"
    Console(highlight=False, markup=False).print(f"{summary}\n{info.digest}", soft_wrap=True)


def _print_import(imported: Imported, as_json: bool) -> None:
    release = imported.stored.lock.release
    size = sum(blob.size for blob in imported.copied)
    if as_json:
        result = {"release": release.reference, "digest": imported.stored.digest}
        more = {"signer": imported.signer, "copied": len(imported.copied), "bytes": size}
        print_json({**result, **more, "replaced": imported.replaced})
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{release.reference} signed by {imported.signer}\n{imported.stored.digest}")
    if imported.copied:
        console.print(f"verified and copied {len(imported.copied)} blobs, {decimal(size)}")
    else:
        console.print("the depot has all of it already")
    if imported.replaced:
        console.print(f"this name and version stood for {imported.replaced} before")


def _entries_table(layout: Layout) -> Table:
    table = Table("entry", "blobs", "bytes", "manifest")
    for entry in layout.entries:
        size = sum(layer.size for layer in entry.manifest.layers)
        table.add_row(
            printable(entry.ref), str(len(entry.manifest.layers)), decimal(size), entry.descriptor.digest[:19]
        )
    return table


def _bundle_json(info: BundleInfo) -> dict[str, Any]:
    carried = {"carried": info.carried, "carried_bytes": info.carried_size}
    return {"digest": info.digest, "blobs": info.blobs, "bytes": info.size, **carried}
