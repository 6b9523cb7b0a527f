"""Whether a host has passed, by what was seen of it; or in one sentence what failed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sealift.errors import one_line
from sealift.evidence.types import ClaimResult
from sealift.fleet.wave import HostResult
from sealift.ssh import Gathered
from sealift.watch.firing import Alert

Outcomes = Mapping[tuple[str, str], str]
"""Of a host's claims, by area and name: passed or failed."""
_MOST = 300  # characters of a reason


def applied(result: HostResult | None) -> str:
    """Why a host was not made what it is to be; empty where it was."""
    if result is None or not result.reached:
        return "was lost while it was changed"
    return f"could not be changed: {result.failed[0]}" if result.failed else ""


def claims(results: Sequence[ClaimResult], before: Outcomes | None) -> str:
    """What does not hold of a host any more; empty where all does.

    A claim that did not hold before the rollout either is not this release's fault, and is let through.

    + results: of its claims
    + before: what the last evidence of the host says; None without one
    """
    failed = [result for result in results if result.outcome == "failed"]
    new = [result for result in failed if (before or {}).get(result.key) != "failed"]
    if not new:
        return ""
    first = new[0]
    held = "held before" if before and before.get(first.key) == "passed" else "was not checked before"
    more = f"; {len(new) - 1} more fail" if len(new) > 1 else ""
    return f"{first.claim.rstrip('.')}: does not hold ({reason(first.detail)}; it {held}){more}"


def reason(detail: str) -> str:
    """The line of a claim's details that says most: what was asserted, without pytest's ornaments."""
    lines = [line.strip() for line in detail.splitlines() if line.strip()]
    told = [line.removeprefix("E ").strip() for line in lines if line.startswith("E ")] or lines
    first = next(iter(told), "no reason given").removeprefix("AssertionError: ").removeprefix("assert ")
    return one_line(first.rstrip(" ;:.") if len(first) <= _MOST else f"{first[:_MOST]} ...")


def alerts(firing: Iterable[Alert], before: Collection[str], host: str) -> str:
    """Which alert of a host began to fire; empty where none did.

    + before: those that fired before the wave, as `named` has them
    """
    new = [name for name in named(firing, host) if name not in before]
    more = f", and {len(new) - 1} more" if len(new) > 1 else ""
    return f"the alert {new[0]} began to fire{more}" if new else ""


def named(firing: Iterable[Alert], host: str) -> tuple[str, ...]:
    """The alerts of a host, in words."""
    mine = (alert for alert in firing if alert.host == host)
    return tuple(f"{alert.name} ({alert.about})" if alert.about else alert.name for alert in mine)


def errors(gathered: Gathered[Any]) -> dict[str, str]:
    """What went wrong, by host, without its name in front."""
    return {
        host: str(error).splitlines()[0].removeprefix(f"{host}: ").rstrip(".")
        for host, error in gathered.errors.items()
    }


def told_of(host: str, lines: Sequence[str]) -> str:
    """What is said of a host."""
    return next((line.removeprefix(f"{host}: ") for line in lines if line.startswith(f"{host}: ")), "")
