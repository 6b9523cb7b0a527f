"""have, gc and fsck: what a site's depot has, no longer needs, and has lost."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from sealift.bundle.have_list import SITE_NAME, write_signed
from sealift.bundle.signature import check_key
from sealift.cli.console import say
from sealift.cli.options import AsJson, print_json
from sealift.cli.progress import shown
from sealift.depot.collecting import Garbage
from sealift.depot.fsck import Checked, Finding
from sealift.depot.fsck import fsck as check_depot
from sealift.depot.have import have_list
from sealift.depot.repair import HostStore
from sealift.depot.repair_media import folder_sources
from sealift.depot.store import Depot
from sealift.fleet.gc import collect_unused
from sealift.site.inventory import load_inventory

_DepotFolder = Annotated[Path, typer.Option("--depot", help="The site's depot.", file_okay=False)]

_ASK = (
    "--inventory SITE for each inventory whose hosts use this depot, to keep what they run; "
    "or --no-inventory, if none does"
)


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    app.command("have")(have)
    app.command("gc")(gc)
    app.command("fsck")(fsck)


def have(
    depot: _DepotFolder,
    key: Annotated[Path, typer.Option(help="The site's OpenSSH key, which signs the list.")],
    out: Annotated[Path, typer.Option(help="The list; its signature is written beside it as .sig.")],
    site: Annotated[str, typer.Option(help="Name of the site, for people.")] = "",
    as_json: AsJson = False,
) -> None:
    """Hash the depot and write the signed list of what it has. Upgrades built for it carry only the rest.

    Example: sealift have --depot /srv/depot --key /etc/sealift/site_key --out have.json
    """
    if not SITE_NAME.fullmatch(site):
        raise typer.BadParameter("--site takes letters, digits, spaces and ._- and 63 characters at most.")
    check_key(key)
    with shown() as progress:
        had = have_list(Depot(depot), site, progress)
        size = write_signed(had.have, out, key, progress)
    blobs, held = len(had.have.blobs), sum(had.have.blobs.values())
    if as_json:
        print_json({"path": str(out), "blobs": blobs, "bytes": held, "damaged": had.damaged})
        return
    say(f"{out}: {blobs} blobs, {decimal(held)}, in a list of {decimal(size)}; carry {out}.sig with it")
    for digest in had.damaged:
        say(f"damaged, so not in the list, and the next delta carries it again: {digest}")


def gc(
    depot: _DepotFolder,
    keep: Annotated[int, typer.Option(min=1, help="How many releases of each name stay.")] = 2,
    inventory: Annotated[
        list[str] | None,
        typer.Option(help="Ask these hosts what they run: that stays, and so does what they are to run."),
    ] = None,
    no_inventory: Annotated[bool, typer.Option("--no-inventory", help="This depot serves no hosts.")] = False,
    keep_release: Annotated[
        list[str] | None, typer.Option(help="A release that stays. Repeat for more.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Remove; without it, only show.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what the depot no longer needs, and with --apply remove it.

    What stays: the last releases of each name by version, those that hosts of the inventories run or are to
    run, and those named by --keep-release. The depot does not know its hosts: --apply wants their inventories
    named, or --no-inventory.

    Example: sealift gc --depot /srv/depot --inventory staging --inventory prod --apply
    """
    asked = bool(inventory)
    if asked and no_inventory:
        raise typer.BadParameter("--inventory and --no-inventory contradict each other; leave one out.")
    if apply and not asked and not no_inventory:
        raise typer.BadParameter(f"--apply removes what hosts may run. Add {_ASK}.")
    inventories = [load_inventory(name) for name in inventory or ()]
    with shown() as progress:
        garbage = collect_unused(Depot(depot), keep, keep_release or (), inventories, apply, progress)
    if as_json:
        blobs = {"blobs": [blob.digest for blob in garbage.blobs], "bytes": garbage.size}
        names = {"kept": garbage.kept, "releases": garbage.releases, "bundles": garbage.bundles}
        print_json({**names, **blobs, "incoming": list(garbage.incoming), "applied": apply})
    else:
        say(_garbage(garbage, apply, asked or no_inventory))


def fsck(
    depot: _DepotFolder,
    repair_from: Annotated[
        list[Path] | None,
        typer.Option(help="Bundle, media or folder of blobs to repair from. Repeat for more.", exists=True),
    ] = None,
    repair_from_host: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="INVENTORY HOST", help="Host or group to repair from, over SSH."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hash every blob of the depot; repair what is missing or damaged from where it can be had.

    Exit code 0: the depot is whole now. 1: something is missing or damaged.

    Example: sealift fsck --depot /srv/depot --repair-from /media/stick/bundle
    """
    sources = folder_sources(repair_from or ())
    if repair_from_host:
        sources += _hosts(*repair_from_host)
    with shown() as progress:
        checked = check_depot(Depot(depot), sources, progress)
    if as_json:
        print_json({**dataclasses.asdict(checked), "ok": checked.ok})
    else:
        say(_checked(checked))
    if not checked.ok:
        raise typer.Exit(1)


def _hosts(inventory: str, limit: str) -> list[HostStore]:
    hosts = load_inventory(inventory).limited([limit]).hosts
    return [HostStore(host.ssh) for host in hosts]


def _garbage(garbage: Garbage, applied: bool, hosts_known: bool) -> str:
    lines = [f"stays: {', '.join(garbage.kept) or 'nothing'}"]
    lines += [f"goes:  {name}" for name in garbage.releases]
    lines += [f"goes:  {folder}, media that were read and not imported" for folder in garbage.incoming]
    freed = f"{len(garbage.blobs)} blobs, {decimal(garbage.size)}"
    if applied:
        return "\n".join((*lines, f"removed {freed}"))
    hint = ""
    if garbage.releases or garbage.bundles or garbage.blobs or garbage.incoming:
        hint = " Run it again with --apply." if hosts_known else f" Run it again with --apply and {_ASK}."
    return "\n".join((*lines, f"would remove {freed}; nothing was changed.{hint}"))


def _checked(checked: Checked) -> str:
    bad = [finding for finding in checked.findings if finding.harms]
    left = [finding for finding in checked.findings if not (finding.harms or finding.repaired_from)]
    lines = [line for finding in checked.findings for line in _finding(finding)]
    lines += checked.broken
    lines.append(
        f"hashed {checked.blobs} blobs, {decimal(checked.size)}: {'whole' if checked.ok else 'NOT whole'}"
    )
    if bad:
        lines.append(
            f"{len(bad)} to repair: name a bundle or media with --repair-from or a host with "
            "--repair-from-host, or have a delta built for a new have-list."
        )
    if left and checked.ok:  # else they may be of a release that cannot be read
        lines.append(
            f"{len(left)} of no release: sealift gc removes what no release needs, and these with it."
        )
    return "\n".join(lines)


def _finding(finding: Finding) -> list[str]:
    outcome = f"repaired from {finding.repaired_from}" if finding.repaired_from else "not repaired"
    line = f"{finding.owner}: {finding.digest} ({decimal(finding.size)}) was {finding.wrong}: {outcome}"
    return [line, *(f"  {tried}" for tried in finding.tried)]
