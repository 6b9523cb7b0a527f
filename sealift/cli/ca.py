"""`sealift ca`: the site's CA and what it issues."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from sealift.cli.console import complain, say, show
from sealift.cli.options import AsJson, InventoryName, print_json
from sealift.errors import SealiftError
from sealift.services import MONITOR_NAME
from sealift.site.authority import key_of, make_authority, one_ca, open_authority
from sealift.site.certificate_files import dns_names, ip_addresses
from sealift.site.certificate_list import CA, CertificateList, certificate_list
from sealift.site.certificates import SERVER, Names
from sealift.site.inventory import load_inventory
from sealift.site.issuing import Wanted, due, issue, lacking, must_have, must_lack, request, take
from sealift.site.places import Place, all_places, chosen, other_place, own_places

_DIGITS = 12  # of a serial number or fingerprint: enough to tell one from another
_WIDTH = 120  # columns that the table needs; a narrower one would cut names
_SAID = {True: "fits", False: "no", None: "-"}
_app = typer.Typer(no_args_is_help=True, help="The site's CA: issue, renew and show certificates.")

_CaKey = Annotated[
    Path | None,
    typer.Option(help="The CA's private key, if it is not beside its certificate.", dir_okay=False),
]
_OwnCa = Annotated[bool, typer.Option("--own-ca", help="Write requests for another CA to sign.")]


def _days(text: str) -> timedelta:
    found = re.fullmatch(r"([0-9]{1,4})d", text)
    if not found:
        raise typer.BadParameter(f"{text!r} is no number of days, expected one such as 30d.")
    return timedelta(days=int(found[1]))


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    app.add_typer(_app, name="ca")


@_app.command()
def init(name: InventoryName) -> None:
    """Make a CA for a site that has none. `sealift init` does that for a new site. Nothing is overwritten.

    Example: sealift ca init prod
    """
    ca = make_authority(load_inventory(name), datetime.now(UTC))
    say(f"{ca}: made; clients need a copy\n{key_of(ca)}: its private key, for a safe")
    say(f"Next:\n  sealift ca issue {name} --all")


@_app.command("issue")
def issue_(
    name: InventoryName,
    hosts: Annotated[list[str] | None, typer.Argument(metavar="HOST", help="Of the inventory.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every host that has no certificate.")] = False,
    dns: Annotated[
        list[str] | None,
        typer.Option(
            "--name", help="A certificate for this DNS name, no host's; repeat for more names in it."
        ),
    ] = None,
    address: Annotated[list[str] | None, typer.Option(help="An IP address in it, too.")] = None,
    ca_key: _CaKey = None,
    own_ca: _OwnCa = False,
    as_json: AsJson = False,
) -> None:
    """Make certificates, with new keys, for hosts that have none; or one for a name that is no host.

    With --own-ca, write requests for another CA to sign. `sealift ca take` takes its answers.

    Example: sealift ca issue prod llm4

    Example: sealift ca issue prod --name llm.example --address 10.0.0.10
    """
    if not (hosts or every or dns) or (hosts and every):
        raise typer.BadParameter("name hosts, or give --all or --name.")
    if address and not dns:
        raise typer.BadParameter("--address belongs to a certificate for a --name.")
    inventory = load_inventory(name)
    of_hosts = chosen(own_places(inventory), hosts or ()) if hosts or every else ()
    of_hosts = lacking(of_hosts) if every else of_hosts
    wanted = [Wanted(place, place.names()) for place in of_hosts]
    if dns:
        ca = one_ca(host.settings.gateway.ca for host in inventory.hosts)
        names = Names.parse(dns, address or ())
        wanted.append(Wanted(other_place(inventory, ca, names.dns[0]), names))
    must_lack(each.place for each in wanted)
    if not wanted and not as_json:
        say(f"{name}: every host has a certificate")
        return
    _make(name, wanted, ca_key, own_ca, as_json)


@_app.command()
def renew(
    name: InventoryName,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Hosts, or other names with a certificate."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every certificate.")] = False,
    within: Annotated[str, typer.Option(metavar="DAYS", help="Those that run out so soon.")] = "30d",
    ca_key: _CaKey = None,
    own_ca: _OwnCa = False,
    as_json: AsJson = False,
) -> None:
    """Make new certificates, with new keys, in place of those that run out soon or are not of their key.

    The hosts go on with the old ones until the next apply.

    With --own-ca, write requests for another CA to sign, and leave the old ones in force until its answers
    are taken: `sealift ca take`.

    Example: sealift ca renew prod

    Example: sealift ca renew prod llm1 --ca-key /media/stick/ca.key
    """
    if names and every:
        raise typer.BadParameter("give names or --all.")
    inventory = load_inventory(name)
    places = all_places(inventory)
    found = chosen(places, names or ())
    if names:
        must_have(found)
    elif every:
        found = tuple(place for place in found if place.present)
    else:
        found = due(found, datetime.now(UTC), _days(within))
    if not found and not as_json:
        say(f"{name}: no certificate runs out within {_days(within).days} days")
        return
    _make(name, [Wanted(place, place.names()) for place in found], ca_key, own_ca, as_json)


@_app.command("take")
def take_(
    name: InventoryName,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Signed certificates, PEM.", dir_okay=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Put what another CA has signed in place, each beside the key that it is of. All are checked first.

    Example: sealift ca take prod /media/stick/*.crt
    """
    inventory = load_inventory(name)
    taken = take(files, all_places(inventory), datetime.now(UTC))
    places = [each.place for each in taken]
    if as_json:
        print_json([_described(place) for place in places])
        return
    _print_made(places)
    say("\n".join(_next(name, places)))


@_app.command("show")
def show_(name: InventoryName, as_json: AsJson = False) -> None:
    """Show the CA and every certificate. No host is touched.

    Exit code 0: all fit, for 30 days at least. 1: something does not, or runs out before.

    Example: sealift ca show prod
    """
    found = certificate_list(load_inventory(name), datetime.now(UTC))
    ok = not (found.problems or found.warnings)
    if as_json:
        print_json({**dataclasses.asdict(found), "ok": ok})
    else:
        _print_list(found)
    if not ok:
        raise typer.Exit(1)


def _make(name: str, wanted: Sequence[Wanted], ca_key: Path | None, own_ca: bool, as_json: bool) -> None:
    places = [each.place for each in wanted]
    if own_ca:
        request(wanted)
    elif wanted:
        now = datetime.now(UTC)
        ca = one_ca(place.ca for place in places)
        key = ca_key or key_of(ca)
        issue(wanted, open_authority(ca, key, lambda: _passphrase(key), now), now)
    if as_json:
        print_json([_described(place) for place in places])
    elif own_ca:
        usages = {place.usage for place in places}
        kind = "servers" if usages == {SERVER} else f"servers, and that of {MONITOR_NAME} as a client's"
        say("\n".join(f"{place.name}: {place.request}" for place in places))
        say(
            f"Next:\n  Have your CA sign these requests, as certificates of {kind}.\n"
            f"  sealift ca take {name} FILE..."
        )
    else:
        _print_made(places)
        say("\n".join(_next(name, places)))


def _passphrase(key: Path) -> str:
    if not sys.stdin.isatty():
        raise SealiftError(
            f"{key}: is encrypted, expected a terminal to ask for its passphrase. Run this at one."
        )
    return str(typer.prompt(f"Passphrase of {key}", hide_input=True, err=True))


def _print_made(places: Sequence[Place]) -> None:
    for place in places:
        present = place.present
        if present:
            names = ", ".join((*dns_names(present), *ip_addresses(present)))
            say(f"{place.certificate}: until {present.not_valid_after_utc:%Y-%m-%d}, for {names}")


def _next(name: str, places: Sequence[Place]) -> list[str]:
    """What is left to do, a line each."""
    others = [
        f"  Copy {place.key} and {place.certificate} to where {place.name} is served."
        for place in places
        if not place.hosts
    ]
    return ["Next:", *others, *([f"  sealift apply {name}"] if any(place.hosts for place in places) else [])]


def _described(place: Place) -> dict[str, Any]:
    present = place.present
    return {
        "name": place.name,
        "hosts": [host.name for host in place.hosts],
        "certificate": str(place.certificate),
        "key": str(place.key),
        "request": str(place.request) if place.request.exists() else None,
        "expires": present.not_valid_after_utc.isoformat() if present else None,
    }


def _print_list(found: CertificateList) -> None:
    columns = ("certificate of", "names", "serial", "SHA-256", "issued by", "days left", "key", "host")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(column, no_wrap=True)
    for each in found.certificates:
        table.add_row(
            each.name,
            "\n".join(each.names) or "none",
            each.serial[:_DIGITS],
            each.fingerprint[:_DIGITS],
            each.issuer,
            "-" if each.days_left is None else str(each.days_left),
            _SAID[each.fits_key],
            _SAID[each.fits_host],
        )
    show(table, at_least=_WIDTH)
    for each in found.certificates:
        if each.name == CA:
            say(f"{each.path}\n  SHA-256 {':'.join(re.findall('..', each.fingerprint.upper()))}")
    for line in found.problems:
        complain(line)
    for line in found.warnings:
        say(f"warning: {line}")
