"""build: from a lock to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.filesize import decimal

from sealift.bundle.build import BundleInfo, build
from sealift.bundle.have_list import NOTHING, read_signed
from sealift.cli.console import say
from sealift.cli.options import AsJson, Project, Sources, print_json
from sealift.cli.progress import shown
from sealift.release.lockfile import load_lock


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("build")(build_bundle)


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
    print_bundle(info, out, as_json)


def print_bundle(info: BundleInfo, path: Path, as_json: bool) -> None:
    """Sum up a bundle.

    + path: its folder
    """
    if as_json:
        print_json(bundle_json(info))
        return
    summary = f"{path}: {info.blobs} blobs, {decimal(info.size)}"
    if info.is_delta:
        summary += f"; a delta, which carries {info.carried} of them, {decimal(info.carried_size)}"
    say(f"{summary}\n{info.digest}")


def bundle_json(info: BundleInfo) -> dict[str, Any]:
    """The same for programs."""
    carried = {"carried": info.carried, "carried_bytes": info.carried_size}
    return {"digest": info.digest, "blobs": info.blobs, "bytes": info.size, **carried}
