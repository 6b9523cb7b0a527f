"""lock, build, inspect and import: from a release file to the depot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from sealift.bundle.blobs import BlobStore
from sealift.bundle.build import BundleInfo, build, describe
from sealift.bundle.have_list import NOTHING, read_signed
from sealift.bundle.layout import Layout, read_index, read_layout
from sealift.cli.options import AsJson, print_json
from sealift.cli.progress import shown
from sealift.depot.importing import Imported, import_bundle
from sealift.depot.store import Depot, read_lock
from sealift.errors import printable
from sealift.files import read_limited, write_atomically
from sealift.release.lockfile import LOCK_LIMIT, dump_lock, load_lock
from sealift.release.parse import load_release
from sealift.release.resolve import resolve
from sealift.release.types import Lock

_SOURCES = typer.Option(help="Folder that paths in the release file are relative to.", file_okay=False)


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    app.command("lock")(lock)
    app.command("build")(build_bundle)
    app.command("inspect")(inspect)
    app.command("import")(import_)


def lock(
    release: Annotated[Path, typer.Argument(help="Release file, such as releases/demo.yaml.")],
    sources: Annotated[Path, _SOURCES] = Path(),
    out: Annotated[Path | None, typer.Option(help="The lock; default: beside the release file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Pin everything a release file names to digests.

    Example: sealift lock releases/demo.yaml --sources build/ingredients
    """
    wanted = load_release(release)
    path = out or release.with_suffix(".lock")
    with shown() as progress:
        found = resolve(wanted, sources, progress)
    content = dump_lock(found)
    changed = not path.exists() or read_limited(path, LOCK_LIMIT) != content
    if changed:
        write_atomically(path, content)
    _print_lock(found, f"{path}: {'written' if changed else 'unchanged'}", as_json, {"path": str(path)})


def build_bundle(
    lock: Annotated[Path, typer.Argument(help="Lock, as sealift lock wrote it.")],
    sources: Annotated[Path, _SOURCES],
    out: Annotated[Path, typer.Option(help="Folder of the bundle.", file_okay=False)],
    key: Annotated[Path, typer.Option(help="OpenSSH key that signs the bundle.")],
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
        info = build(load_lock(lock), sources, out, key, progress, had)
    _print_bundle(info, out, as_json)


def inspect(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    as_json: AsJson = False,
) -> None:
    """List what a bundle carries. This checks its index and manifests, not its signature: import does.

    Example: sealift inspect build/bundle
    """
    index, store = read_index(bundle), BlobStore(bundle)
    layout = read_layout(index, store)
    found = read_lock(layout, store)
    info = describe(layout, store)
    if as_json:
        entries = {entry.ref: entry.descriptor.digest for entry in layout.entries}
        print_json({**_bundle_json(info), **_lock_json(found), "entries": entries})
        return
    Console(markup=False).print(_entries_table(layout))
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


def _print_lock(found: Lock, headline: str, as_json: bool, extra: dict[str, str]) -> None:
    if as_json:
        print_json({**_lock_json(found), **extra})
        return
    table = Table("what", "name", "bytes")
    packages = sum(package.blob.size for package in found.packages)
    table.add_row("packages", str(len(found.packages)), decimal(packages))
    for image in found.images.values():
        table.add_row("image", image.name, decimal(sum(layer.size for layer in image.layers)))
    for name, model in found.models.items():
        table.add_row("model", name, decimal(sum(blob.size for blob in model.blobs)))
    console = Console()
    console.print(table)
    console.print(headline, soft_wrap=True)


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


def _lock_json(found: Lock) -> dict[str, Any]:
    return {
        "release": found.release.reference,
        "packages": {package.name: package.version for package in found.packages},
        "images": {image.name: image.image_id for image in found.images.values()},
        "models": {name: model.manifest.digest for name, model in found.models.items()},
    }
