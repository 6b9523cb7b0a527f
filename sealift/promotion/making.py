"""What is put into records, approvals and overrides."""

from __future__ import annotations

import getpass
import platform
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sealift.errors import SealiftError, one_line
from sealift.evidence.types import ClaimResult, Evidence
from sealift.promotion.statements import Approval, Override, Record
from sealift.release.age import Excuse

_OBJECTIVES = "test_keeps_its_objectives["  # of tests/hosts/test_quality.py: the role follows


def record_of(hosts: Sequence[str], evidence: Sequence[Evidence], now: datetime) -> Record:
    """The record of a rollout that passed.

    + hosts: names of all hosts of the environment
    + evidence: of one verification, or of one for each wave; all of one bundle

    Raises SealiftError where a claim failed, a host is missing, or it is not clear what was rolled out.
    """
    first = evidence[0]
    where = f"{first.inventory}: evidence of {first.verified_at:%Y-%m-%d %H:%M} UTC"
    failed = [claim for each in evidence for claim in each.failed]
    if failed:
        raise SealiftError(
            f"{where}: {len(failed)} claims failed, the first on {failed[0].host}: {failed[0].claim} "
            f"Expected none. Mend that and verify again: sealift verify {first.inventory}"
        )
    seen = {host.name for each in evidence for host in each.hosts if each.of(host.name)}
    if missing := sorted(set(hosts) - seen):
        raise SealiftError(
            f"{where}: lacks {len(missing)} of {len(hosts)} hosts, {', '.join(missing[:5])}, expected all of "
            f"the environment. Verify them all: sealift verify {first.inventory}"
        )
    if len({(each.inventory, each.release, each.bundle, each.code) for each in evidence}) > 1:
        raise SealiftError(f"{where}: is of several releases, or of changing code. Verify all hosts at once.")
    if first.code is None:
        raise SealiftError(
            f"{where}: does not say which code was rolled out, for an older sealift wrote it. Verify again."
        )
    claims = [claim for each in evidence for claim in each.results]
    return Record(
        environment=first.inventory,
        release=first.release,
        bundle=first.bundle,
        at=_second(now),
        by=this_user(),
        code=first.code,
        passed_at=min(each.verified_at for each in evidence),
        hosts=len(seen),
        claims=dict(sorted(Counter(claim.area for claim in claims).items())),
        objectives=dict(sorted(Counter(key for claim in claims for key in _kept(claim)).items())),
    )


def approval_of(environment: str, release: str, bundle: str, plan: str, now: datetime) -> Approval:
    """An approval of a plan.

    + plan: its fingerprint
    """
    return Approval(
        environment=environment, release=release, bundle=bundle, at=_second(now), by=this_user(), plan=plan
    )


def override_of(
    environment: str,
    release: str,
    bundle: str,
    lets: Sequence[Excuse],
    reason: str,
    days: int,
    now: datetime,
) -> Override:
    """An override.

    + lets: what it lets pass
    + days: for which it is good

    Raises SealiftError where the reason is none.
    """
    said = one_line(reason).strip()
    if not said or len(said) > 400:
        raise SealiftError("--reason: is empty or too long, expected a sentence of 400 characters at most.")
    return Override(
        environment=environment,
        release=release,
        bundle=bundle,
        at=_second(now),
        by=this_user(),
        lets=tuple(dict.fromkeys(lets)),
        reason=said,
        until=_second(now) + timedelta(days=days),
    )


def this_user() -> str:
    """Who works here, for people: the user and the machine."""
    return one_line(f"{getpass.getuser()} on {platform.node()}")[:400]


def _second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _kept(claim: ClaimResult) -> list[str]:
    """The release's objectives that a claim says were kept, as `ROLE: OBJECTIVE`."""
    if not claim.name.startswith(_OBJECTIVES):
        return []
    role = claim.name.removeprefix(_OBJECTIVES).rstrip("]")
    return [f"{role}: {name}" for name, said in claim.observed.items() if said.startswith("kept: ")]
