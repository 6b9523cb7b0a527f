"""Promotion in a rollout: whether it may begin, what is written down of that, and the record at its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from sealift.depot.store import StoredRelease
from sealift.errors import SealiftError
from sealift.evidence.code import code_digest
from sealift.evidence.record import last_evidence
from sealift.fleet.generations import stands
from sealift.host.wanted import Wanted
from sealift.progress import Progress, silent
from sealift.promotion.rule import Stands, Verdict
from sealift.promotion.site import permitted, promotion_of, record
from sealift.rollout.events import Opened
from sealift.rollout.known import in_doubt
from sealift.rollout.prepared import Prepared, aimed_at
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
    stood = {
        name: Stands(status.standing.release, status.standing.bundle)
        for name, status in prepared.statuses.items()
        if status.standing
    }
    return permitted(prepared.site, stored, stood, now, prepared.fingerprint)


def require_still(
    site: Inventory, opened: Opened, stored: Mapping[str, StoredRelease], now: datetime
) -> Verdict:
    """What lets a rollout go on: that is asked once more where time has passed since it began.

    + stored: what the hosts of its waves are to run, by name

    Raises SealiftError where the deployment code is another by now, or the site does not take it any more.
    """
    if opened.code != code_digest():
        raise SealiftError(
            f"{site.name}: the rollout was begun by other deployment code ({opened.code[:19]}) than this one "
            f"({code_digest()[:19]}), expected the same. Go on with the code that began it, or take back the "
            "wave that it was at: --abandon."
        )
    stood = {
        host: Stands(before.release or None, before.bundle or None) for host, before in opened.before.items()
    }
    verdict = permitted(site, stored, stood, now, opened.plan)
    if verdict.problems:
        raise SealiftError(
            "\n".join(
                (
                    *verdict.problems,
                    "The rollout does not go on. Once that is mended: --resume. Or end it: --abandon.",
                )
            )
        )
    return verdict


def require_same(opened: Opened, wanted: Mapping[str, Wanted]) -> None:
    """Raises SealiftError where hosts are to be something else by now than when a rollout began.

    + wanted: what hosts are to be, as far as that can be said
    """
    planned = opened.generations
    other = [
        host for host, each in wanted.items() if planned.get(host) not in (None, aimed_at(each.generation))
    ]
    if other:
        raise SealiftError(
            f"{opened.inventory}: {', '.join(other)}: would be another than when the rollout began, expected "
            "the same settings. Set them as they were, or take back the wave that it was at: --abandon."
        )


def recorded(
    site: Inventory, bundle: str, now: datetime, progress: Progress = silent
) -> tuple[Path | None, str]:
    """Sign the record of a rollout that passed; give its path, or why there is none. A site may have no key.

    + bundle: that every host has by now, or has not: each says so, and so does its evidence
    + progress: told that somebody may be asked
    """
    if promotion_of(site).key is None:
        return None, ""
    try:
        _require_on_all(site, bundle)
        return record(site, last_evidence(site, bundle, in_doubt(site)), now, progress=progress), ""
    except SealiftError as error:
        return None, f"no record was signed: {error}"


def _require_on_all(site: Inventory, bundle: str) -> None:
    """Raises SealiftError where a host is on another bundle: it went back meanwhile, or was taken back."""
    found = stands(site.whole.hosts)
    on_it = {host for host, each in found.results.items() if each.current and each.current.bundle == bundle}
    off = [host for host in site.whole.names if host not in on_it and host not in found.errors]
    if found.errors or off:
        lines = [str(error) for error in found.errors.values()]
        raise SealiftError(lines[0] if lines else f"{off[0]}: is on another bundle, expected {bundle}.")
