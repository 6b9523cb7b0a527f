"""import: from a bundle into the depot."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from sealift.cli.console import say
from sealift.cli.options import AsJson, print_json
from sealift.cli.progress import shown
from sealift.depot.importing import Excused, Imported, import_bundle
from sealift.depot.store import Depot
from sealift.evidence.record import EVIDENCE
from sealift.promotion.kept import Signed, read_override
from sealift.promotion.log import OVERRIDES, append_lines, override_line
from sealift.promotion.statements import Override


def register(app: typer.Typer) -> None:
    """Add this command to the tool."""
    app.command("import")(import_)


def import_(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle, as it was carried in.")],
    depot: Annotated[Path, typer.Option(help="The site's depot.", file_okay=False)],
    allowed_signers: Annotated[Path, typer.Option(help="The site's list of allowed signers (ssh-keygen).")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of another bundle of the same name and version.")
    ] = False,
    override: Annotated[
        Path | None,
        typer.Option(help="A signed override (sealift promote override), for what is older or expired."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a bundle's signature and every hash, and take it into the depot.

    Example: sealift import /media/stick/bundle --depot /srv/depot --allowed-signers allowed_signers
    """
    said = read_override(override, allowed_signers, datetime.now(UTC)) if override else None
    excused = _excused(*said, depot) if said else None
    with shown() as progress:
        imported = import_bundle(Depot(depot), bundle, allowed_signers, progress, replace, excused)
    _print_import(imported, as_json)


def _excused(signed: Signed, said: Override, depot: Path) -> Excused:
    log = depot.absolute().parent / EVIDENCE / OVERRIDES
    return Excused(
        said.bundle,
        frozenset(said.lets),
        lambda: append_lines(log, [override_line(signed, "import", datetime.now(UTC))]),
    )


def _print_import(imported: Imported, as_json: bool) -> None:
    release = imported.stored.lock.release
    size = sum(blob.size for blob in imported.copied)
    if as_json:
        result = {"release": release.reference, "digest": imported.stored.digest}
        more = {"signer": imported.signer, "copied": len(imported.copied), "bytes": size}
        rest = {"replaced": imported.replaced, "overridden": imported.excused}
        print_json({**result, **more, "healed": imported.healed, **rest})
        return
    say(f"{release.reference} signed by {imported.signer}\n{imported.stored.digest}")
    if imported.copied:
        say(f"verified and copied {len(imported.copied)} blobs, {decimal(size)}")
    else:
        say("the depot has all of it already, and every hash is right")
    for digest in imported.healed:
        say(f"was damaged in the depot, so taken from the bundle: {digest}")
    for line in imported.excused:
        say(f"let in by an override, in spite of this: {line}")
    if imported.replaced:
        say(f"this name and version stood for {imported.replaced} before")
