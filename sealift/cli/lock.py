"""lock: from a release file to a lock, and what changed against the one before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.filesize import decimal
from rich.table import Table

from sealift.cli.compare import changes_json, print_changes
from sealift.cli.console import say, show
from sealift.cli.options import AsJson, Project, Sources, print_json
from sealift.cli.progress import shown
from sealift.errors import SealiftError
from sealift.files import read_limited, write_atomically
from sealift.release.changes import Changes, compare
from sealift.release.locked import Lock
from sealift.release.lockfile import LOCK_LIMIT, dump_lock, parse_lock
from sealift.release.parse import load_release
from sealift.sources.resolve import resolve


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("lock")(lock)


def lock(
    release: Annotated[Path, typer.Argument(help="Release file, such as releases/demo.yaml.")],
    sources: Sources = Path(),
    project: Project = Path(),
    out: Annotated[Path | None, typer.Option(help="The lock; default: beside the release file.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where the lock is not what it would be now.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Pin everything a release file names to digests, and show what changed against the lock before.

    Example: sealift lock releases/demo.yaml --sources build/ingredients
    """
    wanted = load_release(release)
    path = out or release.with_suffix(".lock")
    with shown() as progress:
        found = resolve(wanted, sources, progress, project)
    content = dump_lock(found)
    before = read_limited(path, LOCK_LIMIT) if path.exists() else None
    stale = before != content
    changes = _changes(before, found, path)
    if stale and not check:
        write_atomically(path, content)
    state = ("stale" if check else "written") if stale else "unchanged"
    if as_json:
        more = {} if changes is None else changes_json(changes)
        print_json({**lock_json(found), "path": str(path), "state": state, **more})
    else:
        _print_lock(found, changes if stale else None, f"{path}: {state}")
    if stale and check:
        raise SealiftError(
            f"{path}: is not what {release} and its sources give now. Run sealift lock without --check."
        )


def lock_json(found: Lock) -> dict[str, Any]:
    """A lock for programs: names, with versions or digests."""
    parts: dict[str, Any] = {
        "release": found.release.reference,
        "packages": {package.name: package.version for package in found.packages},
        "images": {image.name: image.image_id for image in found.images.values()},
        "models": {name: model.manifest.digest for name, model in found.models.items()},
        "files": {name: file.blob.digest for name, file in found.files.items()},
    }
    if found.control is not None:
        parts["wheels"] = {wheel.name: wheel.version for wheel in found.control.wheels}
        parts["code"] = found.control.code.digest
    return parts


def _changes(before: bytes | None, found: Lock, path: Path) -> Changes | None:
    """None without a lock before, or with one of another version of this tool: it is written anew."""
    if before is None:
        return None
    try:
        return compare(parse_lock(before, str(path)), found)
    except SealiftError:
        return None


def _print_lock(found: Lock, changes: Changes | None, headline: str) -> None:
    table = Table("what", "name", "bytes")
    packages = sum(package.blob.size for package in found.packages)
    table.add_row("packages", str(len(found.packages)), decimal(packages))
    for image in found.images.values():
        table.add_row("image", image.name, decimal(sum(layer.size for layer in image.layers)))
    for name, model in found.models.items():
        table.add_row("model", name, decimal(sum(blob.size for blob in model.blobs)))
    if found.control is not None:
        wheels = [wheel.blob.size for wheel in found.control.wheels]
        table.add_row("wheels", str(len(wheels)), decimal(sum(wheels)))
        table.add_row("code", found.control.code.hex[:12], decimal(found.control.code.size))
    for name, file in found.files.items():
        table.add_row("file", name, decimal(file.blob.size))
    show(table)
    if changes is not None:
        print_changes(changes)
    say(headline)
