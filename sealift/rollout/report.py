"""What came of a rollout, out of its journal: for an auditor who has neither sealift nor the journal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sealift.evidence.types import ClaimResult, Evidence, VerifiedHost
from sealift.release.values import Frozen
from sealift.rollout.course import failures
from sealift.rollout.events import Before, Began, Closed, Ended, Event, Judged, Opened

Outcome = Literal["done", "went back", "failed", "unchanged", "left out", "not touched"]


class ReportedHost(Frozen):
    """A host, and what became of it.

    + wave: its number, from 1; 0 where it was in none
    + before: what stood there
    + after: NAME:VERSION that stands there; empty where that is not known
    + why: it failed; empty where it did not
    """

    name: str
    wave: int
    before: Before
    after: str
    outcome: Outcome
    why: str = ""


class ReportedStep(Frozen):
    """A phase of a wave."""

    phase: str
    seconds: float
    said: str


class ReportedWave(Frozen):
    """A wave.

    + sentence: why its gate was not passed
    """

    number: int
    canary: bool
    hosts: tuple[str, ...]
    passed: bool | None
    sentence: str
    steps: tuple[ReportedStep, ...]

    @property
    def seconds(self) -> float:
        """That it took."""
        return sum(step.seconds for step in self.steps)


class Report(Frozen):
    """A rollout. `rollout.json` is this, as canonical JSON.

    + code: SHA-256 of the deployment code
    + sbom: SHA-256 of the bundle's SBOM; empty where it has none
    + evidence: folders of its verifications, beside the folder of rollouts
    + resumed: when it was gone on with, and by whom
    """

    format: Literal[1] = 1
    rollout: str
    inventory: str
    release: str
    bundle: str
    code: str
    sbom: str
    who: str
    node: str
    began: datetime
    ended: datetime
    outcome: Literal["done", "failed"]
    sentence: str
    waves: tuple[ReportedWave, ...]
    hosts: tuple[ReportedHost, ...]
    evidence: tuple[str, ...]
    resumed: tuple[str, ...]


def report(events: Sequence[Event], sbom: str) -> Report:
    """What came of a rollout that is closed.

    + sbom: its digest
    """
    opened, closed = events[0], events[-1]
    if not isinstance(opened, Opened) or not isinstance(closed, Closed):
        raise AssertionError  # nobody asks before
    waves = tuple(_wave(events, opened, number) for number in range(len(opened.waves)))
    verified = tuple(e.evidence for e in events if isinstance(e, Ended) and e.evidence)
    return Report(
        rollout=opened.rollout,
        inventory=opened.inventory,
        release=opened.release,
        bundle=opened.bundle,
        code=opened.code,
        sbom=sbom,
        who=opened.who,
        node=opened.node,
        began=opened.at,
        ended=closed.at,
        outcome=closed.outcome,
        sentence=closed.sentence,
        waves=waves,
        hosts=tuple(_hosts(events, opened)),
        evidence=verified,
        resumed=tuple(f"{e.at:%F %T} {e.who}" for e in events if e.kind == "resumed"),
    )


def _wave(events: Sequence[Event], opened: Opened, number: int) -> ReportedWave:
    judged = next((e for e in events if isinstance(e, Judged) and e.wave == number), None)
    ended = [e for e in events if isinstance(e, Ended) and e.wave == number and e.phase != "ship"]
    return ReportedWave(
        number=number + 1,
        canary=opened.canary and number == 0,
        hosts=opened.waves[number],
        passed=judged.passed if judged else None,
        sentence=judged.sentence if judged else "",
        steps=tuple(ReportedStep(phase=e.phase, seconds=e.seconds, said=e.said) for e in ended),
    )


def _hosts(events: Sequence[Event], opened: Opened) -> Sequence[ReportedHost]:
    failed = failures(events)
    ended = [e for e in events if isinstance(e, Ended)]
    begun = {(e.phase, h) for e in events if isinstance(e, Began) for h in e.hosts}
    back = {h for e in events if isinstance(e, Began) and e.phase == "back" for h in e.hosts}
    stuck = {h for e in ended if e.phase == "back" for h in e.failed}
    confirmed = {h for e in events if isinstance(e, Began) and e.phase == "confirm" for h in e.hosts}
    waves = {host: number for number, wave in enumerate(opened.waves, start=1) for host in wave}

    def outcome(host: str) -> Outcome:
        if host in opened.failed:
            return "left out"
        if host not in waves:
            return "unchanged"
        if ("drain", host) not in begun:
            return "failed" if host in failed else "not touched"
        if host in back:
            return "failed" if host in stuck else "went back"
        return "done" if host in confirmed and host not in failed else "failed"

    found = []
    for host in sorted({*opened.before, *waves, *opened.failed}):
        before, came = opened.before.get(host, Before()), outcome(host)
        after = {"done": opened.release, "failed": ""}.get(came, before.release)
        why = failed.get(host, "")
        found.append(
            ReportedHost(
                name=host, wave=waves.get(host, 0), before=before, after=after, outcome=came, why=why
            )
        )
    return found


def as_evidence(made: Report, verified: Sequence[Evidence]) -> Evidence:
    """The claims of all verifications, and one for each host about the rollout: for JUnit.

    + verified: those of the rollout; of two about a host, the later one counts
    """
    results: dict[str, tuple[ClaimResult, ...]] = {}
    hosts: dict[str, VerifiedHost] = {}
    for evidence in verified:
        for host in evidence.hosts:
            hosts[host.name], results[host.name] = host, evidence.of(host.name)
    for each in made.hosts:
        passed = each.outcome in ("done", "unchanged")
        claim = ClaimResult(
            host=each.name,
            area="rollout",
            name="gate",
            claim=f"The host is what {made.release} and the inventory say.",
            outcome="passed" if passed else "failed",
            seconds=0,
            detail="" if passed else f"{each.outcome}: {each.why or made.sentence}",
        )
        results[each.name] = (claim, *results.get(each.name, ()))
        hosts.setdefault(each.name, VerifiedHost(name=each.name, address="", groups=()))
    return Evidence(
        inventory=made.inventory,
        release=made.release,
        bundle=made.bundle,
        verified_at=made.ended,
        verified_on=made.node,
        hosts=tuple(hosts[name] for name in sorted(hosts)),
        results=tuple(claim for name in sorted(results) for claim in results[name]),
    )
