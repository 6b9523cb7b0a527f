"""Promotion as a site has it: its inventory's settings, its folder of statements, its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from sealift.depot.store import StoredRelease
from sealift.errors import SealiftError
from sealift.evidence.code import code_digest
from sealift.evidence.record import lasting_folder
from sealift.evidence.types import Evidence
from sealift.host.promotion_settings import PromotionSettings
from sealift.progress import Progress, silent
from sealift.promotion.kept import Found, find_statements, sign_statement, statements_folder
from sealift.promotion.log import OVERRIDES, append_lines, override_line
from sealift.promotion.making import record_of
from sealift.promotion.rule import Asked, Stands, Verdict, judge
from sealift.site.inventory import Inventory


def permitted(
    inventory: Inventory,
    stored: Mapping[str, StoredRelease],
    stands: Mapping[str, Stands],
    now: datetime,
    plan: str | None = None,
) -> Verdict:
    """Whether the hosts of an inventory take their releases.

    + stored: what each host is to run, by name
    + stands: what each runs now, by name
    + plan: fingerprint of what would be done

    Raises SealiftError where the hosts have several settings for that.
    """
    promotion = promotion_of(inventory)
    releases = {each.digest: each.lock.release for each in stored.values()}
    verdicts = [
        judge(
            Asked(
                inventory.name,
                promotion,
                release,
                bundle,
                code_digest(),
                {host: stands.get(host, Stands()) for host, each in stored.items() if each.digest == bundle},
                plan,
            ),
            found_for(inventory, bundle),
            now,
        )
        for bundle, release in sorted(releases.items())
    ]
    problems = tuple(dict.fromkeys(line for verdict in verdicts for line in verdict.problems))
    if problems and promotion.signers is None:
        problems += (
            f"{inventory.path}: promotion.signers is not set, so nobody's word counts, expected a list of "
            "allowed signers. See docs/promotion.md.",
        )
    return Verdict(
        problems,
        tuple(each for verdict in verdicts for each in verdict.records),
        tuple(each for verdict in verdicts for each in verdict.approvals),
        tuple(each for verdict in verdicts for each in verdict.overrides),
    )


def found_for(inventory: Inventory, bundle: str) -> Found:
    """What allowed signers say of a bundle here.

    + bundle: digest
    """
    signers = promotion_of(inventory).signers
    if signers is None:
        return Found()
    return find_statements(statements_folder(inventory.hosts[0].settings), signers, bundle)


def promotion_of(inventory: Inventory) -> PromotionSettings:
    """The settings of an environment. Raises SealiftError where its hosts have several."""
    found = {host.settings.promotion for host in inventory.whole.hosts}
    if len(found) > 1:
        raise SealiftError(
            f"{inventory.path}: hosts have different settings of promotion, expected the same for all. "
            "Set them in group_data/all.py alone."
        )
    return found.pop()


def signers_of(inventory: Inventory) -> Path:
    """The list of who may promote, approve and override. Raises SealiftError where none is set."""
    signers = promotion_of(inventory).signers
    if signers is None:
        raise SealiftError(
            f"{inventory.path}: promotion.signers is not set, expected a list of allowed signers. "
            "Set it in group_data/all.py: docs/promotion.md"
        )
    return signers


def record(
    inventory: Inventory,
    evidence: Sequence[Evidence],
    now: datetime,
    key: Path | None = None,
    progress: Progress = silent,
) -> Path | None:
    """Sign the record of a rollout that passed, and give its path; None where no key is there to sign with.

    + inventory: of which all hosts must have been verified
    + evidence: as `record_of` takes it
    + key: that signs; default: the one of the settings
    + progress: told that somebody may be asked

    Raises SealiftError where it did not pass, or cannot be signed.
    """
    signing = key or promotion_of(inventory).key
    if signing is None:
        return None
    made = record_of(inventory.whole.names, evidence, now)
    return sign_statement(made, signing, statements_folder(inventory.hosts[0].settings), progress)


def log_overrides(inventory: Inventory, verdict: Verdict, what: str, now: datetime) -> None:
    """Write down, beside the evidence, which overrides let something pass: at once on the disk.

    + what: was done, such as `rollout`
    """
    lines = [override_line(each, what, now) for each in verdict.overrides]
    append_lines(lasting_folder(inventory) / OVERRIDES, lines)
