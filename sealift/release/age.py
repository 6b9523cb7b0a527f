"""Whether a release may still come in: older than what stands, or past its last day.

A signature does not tell old from new: who replays media signed once, or holds back newer ones, could
keep a site on a release with known holes. See docs/promotion.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum

from sealift.release.types import Release

_PART = re.compile(r"\d+|\+|[^\d.+_-]+")
_SOON = 30  # days
_OVERRIDE = "have it overridden: sealift promote override --help"


class Excuse(StrEnum):
    """What a signed override may let pass."""

    RECORD = "record"
    OLDER = "older"
    EXPIRED = "expired"
    APPROVAL = "approval"


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts versions as people read them: 2026.11.9, 2026.11.10-rc1, 2026.11.10, 2026.11.10+site1.

    It is our own as they may be any text: `packaging` refuses 2026.12~a, dpkg has -rc1 behind its release.
    """
    return (*map(_part_key, _PART.findall(version)), (1, 0, ""))


def _part_key(part: str) -> tuple[int, int, str]:
    """Text is before the end of a version, a plus behind it, and a number behind all."""
    if part.isdecimal():
        return (3, int(part), "")
    return (2, 0, "") if part == "+" else (0, 0, part)


def older(release: Release, stands: Mapping[str, str]) -> Iterator[str]:
    """Where a newer version of the same release stands, a line each.

    + stands: what stands as `NAME:VERSION`, by where that is
    """
    for where, reference in stands.items():
        name, _, version = reference.partition(":")
        if name == release.name and version_key(version) > version_key(release.version):
            yield (
                f"{where}: has {reference}, which is newer than {release.reference}, expected none that is. "
                f"Hosts go back by sealift rollback; to take the older one in spite of that, {_OVERRIDE}"
            )


def expired(release: Release, now: datetime) -> Iterator[str]:
    """Whether a release is past its last day: a line, or none.

    + now: UTC
    """
    if release.expires is not None and now.date() > release.expires:
        yield (
            f"{release.reference}: expired on {release.expires}, expected one that is still good. Bring a "
            f"newer one; to take this in spite of that, {_OVERRIDE}"
        )


def expires_soon(release: Release, now: datetime) -> Iterator[str]:
    """Whether a release's last day is near or over: a line, or none.

    + now: UTC
    """
    if release.expires is None:
        return
    days = (release.expires - now.date()).days
    if days < 0:
        yield (
            f"{release.reference}: expired on {release.expires}. Hosts that run it go on, no other takes it. "
            "Bring a newer one."
        )
    elif days <= _SOON:
        yield f"{release.reference}: expires on {release.expires}, in {days} days. Bring a newer one."
