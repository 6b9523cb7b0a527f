"""`sealift export`: parts of a release in forms that others take."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from sealift.blobs import BlobStore
from sealift.bundle.export import ExportedImage, ImageOrder, export_image
from sealift.cli.console import say
from sealift.cli.options import AsJson, print_json
from sealift.cli.progress import shown
from sealift.depot.store import Depot
from sealift.release.locked import Lock
from sealift.release.lockfile import load_lock

_app = typer.Typer(no_args_is_help=True, help="Write parts of a release in forms that other tools take.")


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    app.add_typer(_app, name="export")


@_app.callback()
def export() -> None:
    """Keep `image` a command of its own, so that others can stand beside it."""


@_app.command()
def image(
    model: Annotated[str, typer.Option(help="The model, such as gemma3:270m.")],
    out: Annotated[Path, typer.Option(help="Folder of the OCI image layout.", file_okay=False)],
    name: Annotated[str, typer.Option(help="The image's name in full, HOST/PATH:TAG.")],
    release: Annotated[
        str | None, typer.Argument(help="A release in the depot: NAME:VERSION or NAME@sha256:DIGEST.")
    ] = None,
    lock: Annotated[Path | None, typer.Option(help="In place of a release: its lock.")] = None,
    depot: Annotated[Path | None, typer.Option(help="The site's depot.", file_okay=False)] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="In place of the depot: a bundle, with --lock.", file_okay=False)
    ] = None,
    roles: Annotated[
        bool, typer.Option("--roles", help="The model answers to its roles' names too.")
    ] = False,
    archive: Annotated[
        Path | None, typer.Option(help="Also write a tar file for docker load.", dir_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bake a model into the release's Ollama image, for sites that only have a registry. Needs no Docker.

    The same lock gives the same bytes. Every byte is checked against it.

    Example: sealift export image demo:2026.11.0 --depot /srv/depot --model gemma3:270m --out build/image
    --name registry.example.org/llm/gemma3:2026.11.0
    """
    found, source = _source(release, lock, depot, bundle)
    with shown() as progress:
        exported = export_image(ImageOrder(found, model, name, roles), source, out, archive, progress)
    if as_json:
        print_json(dataclasses.asdict(exported))
    else:
        _print(exported, out, archive)


def _source(
    release: str | None, lock: Path | None, depot: Path | None, bundle: Path | None
) -> tuple[Lock, BlobStore]:
    """What to export, and where its blobs lie. A bundle's own lock is not believed before it is imported."""
    if (release is None) == (lock is None):
        raise typer.BadParameter("expected a release of the depot or --lock LOCK, one of them")
    if (depot is None) == (bundle is None):
        raise typer.BadParameter("expected --depot DIR or --bundle DIR, one of them")
    if lock is not None:
        return load_lock(lock), BlobStore(depot or bundle or Path())
    if depot is None or release is None:
        raise typer.BadParameter("a bundle is read with --lock LOCK; import it to name its release")
    opened = Depot(depot)
    return opened.resolve(release).lock, opened.store


def _print(exported: ExportedImage, out: Path, archive: Path | None) -> None:
    lines = [
        f"{exported.name}: {decimal(exported.size)}, answers as {' and '.join(exported.models)}",
        f"image ID {exported.image_id}",
        f"manifest {exported.digest}",
        f"push it  skopeo copy --preserve-digests oci:{out}:{exported.name} docker://{exported.name}",
    ]
    if archive is not None:
        lines.append(f"load it  docker load --input {archive}")
    say("\n".join(lines))
