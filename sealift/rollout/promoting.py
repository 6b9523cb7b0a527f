"""Promotion in a rollout: whether it may begin, what is written down of that, and the record at its end."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sealift.errors import SealiftError
from sealift.evidence.record import last_evidence
from sealift.progress import Progress, silent
from sealift.promotion.rule import Stands, Verdict
from sealift.promotion.site import permitted, promotion_of, record
from sealift.rollout.prepared import Prepared
from sealift.site.inventory import Inventory


def require_permitted(prepared: Prepared, now: datetime) -> Verdict:
    """What lets a rollout begin. Raises SealiftError with why not, where the site does not take it."""
    verdict = judged(prepared, now)
    if verdict.problems:
        raise SealiftError("\n".join((*verdict.problems, "Refused: nothing was changed on any host.")))
    return verdict


def judged(prepared: Prepared, now: datetime) -> Verdict:
    """Whether a site takes what a rollout brings to the hosts that it changes."""
    stored = {t.host.name: t.stored for t in prepared.targets if t.host.name in prepared.changing}
    stands = {
        name: Stands(status.standing.release, status.standing.bundle)
        for name, status in prepared.statuses.items()
        if status.standing
    }
    return permitted(prepared.site, stored, stands, now, prepared.fingerprint)


def recorded(
    site: Inventory, bundle: str, now: datetime, progress: Progress = silent
) -> tuple[Path | None, str]:
    """Sign the record of a rollout that passed; give its path, or why there is none. A site may have no key.

    + bundle: that every host has by now, or has not: the evidence of each says it
    + progress: told that somebody may be asked
    """
    if promotion_of(site).key is None:
        return None, ""
    try:
        return record(site, last_evidence(site, bundle), now, progress=progress), ""
    except SealiftError as error:
        return None, f"no record was signed: {error}"
