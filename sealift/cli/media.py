"""`sealift media`: a bundle onto sticks and off them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from sealift.cli.console import complain, say
from sealift.cli.options import AsJson, print_json
from sealift.cli.progress import shown
from sealift.media.read import Read, read_media
from sealift.media.table import parse_parts, parse_size
from sealift.media.write import Written, write_media

_app = typer.Typer(no_args_is_help=True, help="Carry a bundle in parts: a bad stick costs one part.")


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    app.add_typer(_app, name="media")


@_app.command()
def write(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.", exists=True, file_okay=False)],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The medium.", file_okay=False)],
    size: Annotated[str, typer.Option(help="Bytes of a part at most: 700M, 4G, fat32, or bytes.")],
    key: Annotated[Path, typer.Option(help="OpenSSH key that signs the media: that of the release.")],
    part: Annotated[
        list[str] | None, typer.Option(help="Only this part (3) or these (1-4); repeat for more.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a bundle as parts. Run again, it reads back what is there and writes only what is not right.

    Example: sealift media write build/bundle /media/stick --size 4G --key signing_key --part 1-3
    """
    with shown() as progress:
        written = write_media(bundle, folder, parse_size(size), key, parse_parts(part or ()), progress)
    _print_written(written, folder, as_json)


@_app.command()
def read(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Media, or copies of them.", exists=True, file_okay=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the bundle; parts add up in it.", file_okay=False)],
    allowed_signers: Annotated[Path, typer.Option(help="The site's list of allowed signers (ssh-keygen).")],
    as_json: AsJson = False,
) -> None:
    """Put a bundle together out of parts, in any order and over several runs.

    Exit code 0: the bundle is whole. 1: parts are missing, and they are named.

    Example: sealift media read /media/a /media/b --out bundle --allowed-signers allowed_signers
    """
    with shown() as progress:
        done = read_media(folders, out, allowed_signers, progress)
    if as_json:
        print_json(
            {
                "digest": done.media.table.bundle,
                "signer": done.media.signer,
                "parts": len(done.media.table.parts),
                "taken": done.taken,
                "missing": done.missing,
                "problems": done.problems,
            }
        )
    else:
        _print_read(done, out)
    if done.missing:
        raise typer.Exit(1)


def _print_written(written: Written, folder: Path, as_json: bool) -> None:
    table = written.table
    if as_json:
        parts = {part.name: part.blob.digest for part in table.parts}
        done = {"written": written.written, "kept": written.kept}
        print_json({"digest": table.bundle, "table": written.table_digest, "parts": parts, **done})
        return
    size = sum(part.blob.size for part in table.parts)
    say(f"{table.bundle}\n{len(table.parts)} parts, {decimal(size)}")
    for what, names in (("written to", written.written), ("right already on", written.kept)):
        if names:
            say(f"{what} {folder}: {_names(names)}")
    say(f"SHA-256 of TABLE.txt: {written.table_digest}")


def _print_read(done: Read, out: Path) -> None:
    for problem in done.problems:
        complain(problem)
    parts = done.media.table.parts
    say(f"{done.media.table.bundle} signed by {done.media.signer}")
    if done.missing:
        have = len(parts) - len(done.missing)
        say(
            f"{out}: has {have} of {len(parts)} parts, missing: {_names(done.missing)}. "
            "Run the command again with the media that hold them."
        )
    else:
        say(f"{out}: whole, {len(done.taken)} parts taken in now. Next: sealift import {out}")


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(name.removesuffix(".part") for name in names)
