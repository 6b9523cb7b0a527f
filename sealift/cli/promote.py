"""promote: records of what passed, approvals of plans, overrides; whether a site takes its release."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sealift.blobs import BlobStore
from sealift.bundle.signature import check_key
from sealift.cli.console import complain, say, show
from sealift.cli.options import AsJson, InventoryName, print_json
from sealift.cli.progress import shown
from sealift.cli.waiting import asking
from sealift.content import digest_of
from sealift.depot.store import read_lock
from sealift.errors import SealiftError
from sealift.evidence.record import last_evidence, read_evidence
from sealift.evidence.types import Evidence
from sealift.fleet.behind import stored_releases
from sealift.fleet.survey import targets
from sealift.oci.layout import read_index, read_layout
from sealift.promotion.hosts import permitted_there
from sealift.promotion.kept import Signed, sign_statement, statements_folder, take_statement
from sealift.promotion.making import approval_of, override_of
from sealift.promotion.rule import Verdict
from sealift.promotion.site import found_for, promotion_of, record, signers_of
from sealift.promotion.statements import Approval, Override, Statement, day_and_time, out_of_time
from sealift.release.age import Excuse
from sealift.rollout.known import in_doubt
from sealift.site.inventory import Inventory, load_inventory

_promote = typer.Typer(
    no_args_is_help=True,
    help=(
        "Say that a release passed, approve a plan, override a rule; see whether a site takes its "
        "release.\n\nStaging signs a record of each rollout that passed. Production takes no bundle without "
        "one, where its inventory says so. All of it is files that can be carried: docs/promotion.md."
    ),
)
_FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")
_Key = Annotated[Path, typer.Option(help="OpenSSH key of who says it: private, or public with an agent.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the tool."""
    app.add_typer(_promote, name="promote")


@_promote.command("record")
def record_(
    site: InventoryName,
    key: Annotated[
        Path | None, typer.Option(help="OpenSSH key that signs.", show_default="promotion.key of the site")
    ] = None,
    evidence: Annotated[
        Path | None, typer.Option(help="evidence.json of the site.", show_default="the newest of each host")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sign that a release passed here, on every host. A rollout does it itself where promotion.key is set.

    Example: sealift promote record staging --key /etc/sealift/promotion_key
    """
    inventory = load_inventory(site)
    signing = key or promotion_of(inventory).key
    if signing is None:
        raise SealiftError(f"{inventory.path}: promotion.key is not set, expected a key. Name it with --key.")
    check_key(signing)
    found = (read_evidence(evidence),) if evidence else _last(inventory)
    with shown() as progress:
        path = record(inventory, found, datetime.now(UTC), signing, progress)
    _print_made(path, found[0].release, as_json)


def _last(inventory: Inventory) -> tuple[Evidence, ...]:
    return last_evidence(inventory, _only_release(inventory)[1], in_doubt(inventory))


@_promote.command()
def take(
    site: InventoryName,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Records, approvals, overrides; .sig beside each.")
    ],
    as_json: AsJson = False,
) -> None:
    """Verify what was carried here, and keep it beside the depot.

    Example: sealift promote take prod /media/stick/20261129T201500Z-record-staging-1a2b3c4d5e6f.json
    """
    inventory = load_inventory(site)
    signers, folder = signers_of(inventory), statements_folder(inventory.hosts[0].settings)
    taken = [take_statement(path, signers, folder) for path in files]
    if as_json:
        print_json([_data(each, None) for each in taken])
        return
    for each in taken:
        say(f"{each.path}: {_told(each.statement)}, signed by {each.signer}")


@_promote.command("show")
def show_(site: InventoryName, as_json: AsJson = False) -> None:
    """Show whether a site takes its release now, and who says what of it. Hosts are asked what they run.

    Exit code 0: it does. 1: it does not, and each reason is listed.

    Example: sealift promote show prod
    """
    inventory, now = load_inventory(site), datetime.now(UTC)
    found = targets(inventory)
    with asking(len(found)):
        try:
            verdict = permitted_there(inventory, found, now)
        except (
            SealiftError
        ) as error:  # a host does not answer: what is said of its release is shown all the same
            verdict = Verdict(tuple(str(error).split("\n")))
    bundles = dict.fromkeys(target.stored.digest for target in found)
    said = [each for bundle in bundles for each in found_for(inventory, bundle).signed]
    days = promotion_of(inventory).max_age_days
    if as_json:
        statements = [_data(each, out_of_time(each.statement, now, days)) for each in said]
        print_json({"permitted": not verdict.problems, "problems": verdict.problems, "said": statements})
    else:
        _print_shown(inventory, verdict, said, now, days)
    if verdict.problems:
        raise typer.Exit(1)


@_promote.command()
def approve(
    site: InventoryName,
    plan: Annotated[str, typer.Option(metavar="FINGERPRINT", help="The plan's, as sealift plan tells it.")],
    key: _Key,
    as_json: AsJson = False,
) -> None:
    """Sign that you agree to a plan: this bundle, on these hosts, with these changes.

    Example: sealift promote approve prod --plan sha256:1a2b... --key ~/.ssh/id_ed25519
    """
    if not _FINGERPRINT.fullmatch(plan):
        raise typer.BadParameter("--plan takes a fingerprint, sha256: and 64 hexadecimal digits.")
    inventory = load_inventory(site)
    check_key(key)
    reference, bundle = _only_release(inventory)
    said = approval_of(inventory.name, reference, bundle, plan, datetime.now(UTC))
    _print_made(_sign(said, key, inventory), reference, as_json)


@_promote.command()
def override(
    site: InventoryName,
    let: Annotated[list[Excuse], typer.Option(help="What is let pass; repeat for more.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence; it is written down at each use.")],
    key: _Key,
    days: Annotated[int, typer.Option(min=1, max=365, help="For how long.")] = 1,
    bundle: Annotated[
        Path | None, typer.Option(help="Folder of a bundle that is not in the depot yet.", file_okay=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sign that what would be refused is let pass: a bundle without a record or approval, older, or expired.

    It is good for one bundle and one site, and each use of it is written to evidence/overrides.jsonl, beside
    the depot.

    Example: sealift promote override prod --let record --reason "CVE-2026-1234, staging is down" --key KEY
    """
    inventory = load_inventory(site)
    check_key(key)
    reference, digest = _release_of(bundle) if bundle else _only_release(inventory)
    said = override_of(inventory.name, reference, digest, let, reason, days, datetime.now(UTC))
    _print_made(_sign(said, key, inventory), reference, as_json)


def _sign(said: Statement, key: Path, inventory: Inventory) -> Path:
    with shown() as progress:
        return sign_statement(said, key, statements_folder(inventory.hosts[0].settings), progress)


def _only_release(inventory: Inventory) -> tuple[str, str]:
    """The release of a site, `NAME:VERSION`, and its bundle's digest."""
    found = {each.digest: each.lock.release for each in stored_releases(inventory.hosts).values()}
    if len(found) > 1:
        raise SealiftError(f"{inventory.path}: hosts have several releases, expected one. Set it in all.py.")
    ((digest, release),) = found.items()
    return release.reference, digest


def _release_of(bundle: Path) -> tuple[str, str]:
    """The same of a bundle. Nothing of it is believed by that: it is imported by its signature."""
    index = read_index(bundle)
    store = BlobStore(bundle)
    return read_lock(read_layout(index, store), store).release.reference, digest_of(index).digest


def _print_made(path: Path | None, release: str, as_json: bool) -> None:
    if as_json:
        print_json({"path": str(path), "signature": f"{path}.sig", "release": release})
        return
    say(f"{path}: signed, for {release}; where it is carried, carry {path}.sig with it")


def _data(each: Signed, late: str | None) -> dict[str, object]:
    said = each.statement.model_dump(mode="json")
    return {"path": str(each.path), "signer": each.signer, "digest": each.digest, "late": late, **said}


def _told(said: Statement) -> str:
    match said:
        case Override():
            return (
                f"override for {said.environment} of {', '.join(said.lets)} "
                f"until {day_and_time(said.until)}: {said.reason}"
            )
        case Approval():
            return f"approval for {said.environment} of plan {said.plan[:19]}"
        case _:
            return f"record of {said.environment}: {sum(said.claims.values())} claims on {said.hosts} hosts"


def _print_shown(
    inventory: Inventory, verdict: Verdict, said: list[Signed], now: datetime, days: int
) -> None:
    table = Table("signed at", "by", "what", "holds")
    for each in said:
        late = out_of_time(each.statement, now, days)
        holds = f"no: {late}" if late else "yes"
        table.add_row(day_and_time(each.statement.at), each.signer, _told(each.statement), holds)
    if said:
        show(table)
    for line in verdict.problems:
        complain(line)
    if not verdict.problems:
        release, bundle = _only_release(inventory)
        used = f", by an override of {verdict.overrides[0].signer}" if verdict.overrides else ""
        say(f"{inventory.name} takes {release}{used}\n{bundle}")
