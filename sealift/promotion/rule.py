"""Whether an environment takes a release: out of what its settings demand, what stands, and who said what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sealift.host.promotion_settings import PromotionSettings
from sealift.promotion.kept import Found, Signed
from sealift.promotion.statements import Approval, Override, Record, out_of_time
from sealift.release.age import Excuse, expired, older
from sealift.release.types import Release


@dataclass(frozen=True)
class Stands:
    """What a host runs now: `NAME:VERSION` and the bundle's digest; None where it runs nothing."""

    release: str | None = None
    bundle: str | None = None


@dataclass(frozen=True)
class Asked:
    """What is to go where.

    + environment: name of the inventory
    + code: digest of the deployment code that runs here
    + stands: what each host runs now, by name
    + plan: fingerprint of the plan; None where none was made yet, so that nobody can have approved it
    """

    environment: str
    settings: PromotionSettings
    release: Release
    bundle: str
    code: str
    stands: Mapping[str, Stands]
    plan: str | None = None

    @property
    def is_new(self) -> bool:
        """Whether any host runs another bundle: for changed settings alone, nothing has to be proved anew."""
        return any(each.bundle != self.bundle for each in self.stands.values())


@dataclass(frozen=True)
class Verdict:
    """Whether it may go there.

    + problems: why not, a line each; empty where it may
    + records: that let it
    + approvals: of its plan
    + overrides: without which it would have been refused
    """

    problems: tuple[str, ...]
    records: tuple[Signed, ...] = ()
    approvals: tuple[Signed, ...] = ()
    overrides: tuple[Signed, ...] = ()


def judge(asked: Asked, found: Found, now: datetime) -> Verdict:
    """Whether an environment takes a release.

    + found: statements about its bundle
    + now: UTC
    """
    record, no_record = _record(asked, found, now)
    approvals, not_approved = _approvals(asked, found, now)
    wrong: dict[Excuse, list[str]] = {
        Excuse.OLDER: list(
            older(asked.release, {h: s.release for h, s in asked.stands.items() if s.release})
        ),
        Excuse.EXPIRED: list(expired(asked.release, now)) if asked.is_new else [],
        Excuse.RECORD: no_record,
        Excuse.APPROVAL: not_approved,
    }
    problems: list[str] = []
    used: list[Signed] = []
    for excuse, lines in wrong.items():
        if not lines:
            continue
        if override := _override(excuse, asked, found, now):
            used.append(override)
        else:
            problems += lines
    if problems:
        problems += [f"passed over: {line}" for line in found.passed_over]
    return Verdict(
        tuple(problems),
        (record,) if record else (),
        approvals,
        tuple({each.digest: each for each in used}.values()),
    )


def _record(asked: Asked, found: Found, now: datetime) -> tuple[Signed | None, list[str]]:
    """The record that lets a bundle in, and what is wrong where there is none."""
    wanted = asked.settings.from_
    if not wanted or not asked.is_new:
        return None, []
    why: list[str] = []
    for each in found.signed:
        record = each.statement
        if not isinstance(record, Record) or record.environment not in wanted:
            continue
        if late := out_of_time(record, now, asked.settings.max_age_days):
            why.append(f"{each.path}: {late}")
        elif record.code != asked.code:
            why.append(
                f"{each.path}: was rolled out by other deployment code ({record.code[:19]}) than runs here "
                f"({asked.code[:19]}); install the release's own: sealift install {asked.release.reference}"
            )
        else:
            return each, []
    listed = " or ".join(wanted)
    head = (
        f"{asked.environment}: takes only what passed in {listed}, and no record says so of "
        f"{asked.release.reference}, {asked.bundle}. Roll it out there, then bring the record: "
        f"sealift promote take {asked.environment} FILE"
    )
    return None, [head, *why]


def _approvals(asked: Asked, found: Found, now: datetime) -> tuple[tuple[Signed, ...], list[str]]:
    """Approvals of the plan, one of each person, and what is wrong where they are too few."""
    wanted = asked.settings.approvals
    if not wanted:
        return (), []
    of_person: dict[str, Signed] = {}
    for each in found.signed:
        said = each.statement
        if (
            isinstance(said, Approval)
            and said.environment == asked.environment
            and said.plan == asked.plan
            and not out_of_time(said, now, asked.settings.max_age_days)
        ):
            of_person.setdefault(each.signer, each)
    if len(of_person) >= wanted:
        return tuple(of_person.values()), []
    if asked.plan is None:
        return (), [
            f"{asked.environment}: takes only plans with {wanted} approvals, and here is no plan. "
            f"sealift plan {asked.environment} makes one, and sealift rollout goes by it."
        ]
    return tuple(of_person.values()), [
        f"{asked.environment}: has {len(of_person)} of {wanted} approvals of the plan {asked.plan} of "
        f"{asked.release.reference}. Have it approved: sealift promote approve {asked.environment} "
        f"--plan {asked.plan} --key KEY"
    ]


def _override(excuse: Excuse, asked: Asked, found: Found, now: datetime) -> Signed | None:
    for each in found.signed:
        said = each.statement
        if (
            isinstance(said, Override)
            and said.environment == asked.environment
            and excuse in said.lets
            and not out_of_time(said, now, asked.settings.max_age_days)
        ):
            return each
    return None
