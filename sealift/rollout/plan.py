"""A rollout planned: what would change on each host, in which waves, how long it takes; kept, and held to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from sealift import mistakes
from sealift.drift.plan import Plan as Changes
from sealift.errors import SealiftError
from sealift.evidence.code import code_digest
from sealift.files import read_limited
from sealift.release.values import Digest, Frozen
from sealift.rollout.events import Closed, Ended, Event, Opened
from sealift.rollout.prepared import Prepared, who

_LIMIT = 64 << 20  # bytes of a plan
_ENOUGH = 5  # rollouts that times are taken from


class PlannedHost(Frozen):
    """What a rollout does to a host.

    + at: digest of what it stands at and is to be
    + differs: a line for each thing that would change
    + diffs: of text files, as unified diffs
    + problems: what keeps it from its release
    """

    at: Digest
    bytes: int
    blobs: int
    differs: tuple[str, ...] = ()
    diffs: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Plan(Frozen):
    """A rollout that is to be done as it is written here, or not at all.

    + fingerprint: digest of all that it depends on
    + seconds: that it takes, by what earlier ones took; None where there were none
    """

    format: Literal[1] = 1
    fingerprint: Digest
    inventory: str
    release: str
    bundle: Digest
    code: Digest
    made_at: datetime
    made_by: str
    full: bool = False
    limit: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    waves: tuple[tuple[str, ...], ...]
    hosts: dict[str, PlannedHost]
    seconds: float | None = Field(default=None, ge=0)

    @property
    def ok(self) -> bool:
        """Whether every host can take its release."""
        return not any(host.problems for host in self.hosts.values())


def make_plan(
    prepared: Prepared,
    changes: Mapping[str, Changes],
    earlier: Iterable[Sequence[Event]],
    now: datetime,
    *,
    full: bool,
    limit: Sequence[str],
    exclude: Sequence[str],
) -> Plan:
    """A plan of what is prepared.

    + changes: what would change on each host
    + earlier: journals of the site's rollouts, the last one first
    """
    release, bundle = prepared.release
    digests = prepared.digests
    hosts = {}
    for name in prepared.site.names:
        shipping, problems = prepared.survey.plans.get(name), prepared.survey.hosts[name].problems
        change = changes.get(name)
        hosts[name] = PlannedHost(
            at=digests[name],
            bytes=shipping.bytes_total if shipping else 0,
            blobs=len(shipping.items) if shipping else 0,
            differs=change.differs if change else (),
            diffs=change.diffs if change else (),
            problems=tuple(line.removeprefix(f"{name}: ") for line in problems),
        )
    total = sum(host.bytes for host in hosts.values())
    return Plan(
        fingerprint=prepared.fingerprint,
        inventory=prepared.site.name,
        release=release,
        bundle=bundle,
        code=code_digest(),
        made_at=now,
        made_by=who(),
        full=full,
        limit=tuple(limit),
        exclude=tuple(exclude),
        waves=prepared.waves,
        hosts=hosts,
        seconds=expected_s(earlier, total, len(prepared.waves)),
    )


def require_same(plan: Plan, prepared: Prepared, path: Path) -> None:
    """Raises SealiftError with what is another by now than when the plan was made."""
    release, bundle = prepared.release
    moved = [name for name, digest in prepared.digests.items() if plan.hosts[name].at != digest]
    found = (
        (plan.inventory != prepared.site.name, f"the inventory, {prepared.site.name}"),
        (plan.bundle != bundle, f"the release, {release}"),
        (plan.code != code_digest(), "the deployment code"),
        (bool(moved), ", ".join(moved)),
        (plan.waves != prepared.waves, "the waves"),
        (plan.fingerprint != prepared.fingerprint, "the fingerprint"),
    )
    what = next((what for differs, what in found if differs), "")
    if what:
        raise SealiftError(
            f"{path}: was made for what stood at {plan.made_at:%F %T} UTC, and {what} is another since, "
            f"expected the same. Make a new one: sealift plan {prepared.site.name} --out {path}"
        )


def require_hosts(plan: Plan, names: Iterable[str], path: Path) -> None:
    """Raises SealiftError where the inventory has other hosts than the plan."""
    if set(names) != plan.hosts.keys():
        raise SealiftError(
            f"{path}: is about other hosts than the inventory has, expected the same. "
            f"Make a new one: sealift plan {plan.inventory} --out {path}"
        )


def read_plan(path: Path) -> Plan:
    """A plan as `sealift plan --out` wrote it. Raises SealiftError where it is none."""
    try:
        return Plan.model_validate_json(read_limited(path, _LIMIT))
    except ValidationError as error:
        raise SealiftError(
            f"{path}: {mistakes.first(error)}, expected a plan. Make one: sealift plan SITE --out {path}"
        ) from None


def expected_s(earlier: Iterable[Sequence[Event]], total: int, waves: int) -> float | None:
    """Seconds that a rollout takes, by what earlier ones took; None where that is not known.

    + earlier: journals, the last one first
    + total: bytes to ship
    """
    shipped = seconds = 0.0
    took: list[float] = []
    done = 0
    for events in earlier:
        first, last = events[0], events[-1]
        if not isinstance(first, Opened) or not isinstance(last, Closed) or last.outcome != "done":
            continue
        ended = [event for event in events if isinstance(event, Ended)]
        shipped += first.bytes
        seconds += sum(event.seconds for event in ended if event.phase == "ship")
        by_wave = (event.seconds for event in ended if event.phase != "ship")
        took.append(sum(by_wave) / max(1, len(first.waves)))
        done += 1
        if done == _ENOUGH:
            break
    if not took or (total and not shipped):
        return None
    shipping = total / shipped * seconds if total else 0.0
    return round(shipping + waves * sum(took) / len(took), 1)
