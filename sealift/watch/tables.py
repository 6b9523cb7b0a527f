"""The tables of the page: what stands in their cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Literal, NamedTuple

from sealift.watch import queries
from sealift.watch.figures import NOTHING, Drawn, by_label, words
from sealift.watch.panel import Panel
from sealift.watch.prometheus import Answers

Tone = Literal["good", "warn", "bad", "none"]

_SEVERITY: Mapping[str, Tone] = {"critical": "bad", "warning": "warn"}
_TOLD = ("__name__", "alertname", "alertstate", "severity", "host", "job", "instance")
_SPARKS = (queries.HOST_REQUESTS, queries.HOST_ANSWER, queries.HOST_TOKENS, queries.HOST_CPU)
_WORDS = (
    *(queries.HOST_FAILED, queries.HOST_MEMORY, queries.HOST_RUNTIME, queries.HOST_DISK),
    queries.HOST_CERTIFICATE,
)
_UNITS: Mapping[str, Literal["s", "tokens/s", "bytes", "ratio"]] = {
    "first_token": "s",
    "answer": "s",
    "tokens_per_second": "tokens/s",
    "memory": "bytes",
    "success": "ratio",
}
_LONGEST_S = 10 * 365 * 86400  # an alert fires; beyond that, its host's figure is wrong
_AT_LEAST = ("tokens_per_second", "success")


class Alert(NamedTuple):
    """One that fires.

    + about: its other labels
    + lasts: since it began
    """

    name: str
    tone: Tone
    host: str
    about: str
    lasts: str


class Cell(NamedTuple):
    """A figure, and the line behind it where it has one."""

    text: str
    drawn: Drawn | None = None


class HostRow(NamedTuple):
    """What a host does.

    + state: in a word or two
    + roles: with what is wrong with them
    """

    name: str
    state: str
    tone: Tone
    release: str
    sparks: tuple[tuple[str, Cell], ...]
    cells: tuple[str, ...]


class RoleRow(NamedTuple):
    """What a role does on all hosts."""

    name: str
    state: str
    tone: Tone
    cells: tuple[str, ...]


class Objective(NamedTuple):
    """What a release promises of a role, and whether it was so.

    + goal: as `at most 3 s`
    + kept: share of 30 days
    + left: of the error budget, in words
    + share: the same from 0 to 100
    """

    role: str
    name: str
    goal: str
    kept: str
    left: str
    share: float
    tone: Tone


def alerts(answers: Answers, at: int) -> tuple[Alert, ...]:
    """Alerts that fire, the critical ones first."""
    since = {
        frozenset((k, v) for k, v in each.labels.items() if k != "__name__"): each.last
        for each in answers.of("firing-since")
    }
    found = []
    for each in answers.of("firing"):
        labels = each.labels
        key = frozenset((k, v) for k, v in labels.items() if k not in ("__name__", "alertstate"))
        about = ", ".join(f"{k} {v}" for k, v in sorted(labels.items()) if k not in _TOLD)
        tone = _SEVERITY.get(labels.get("severity", ""), "warn")
        lasts = _lasts(at - since[key]) if key in since else NOTHING
        found.append(Alert(labels.get("alertname", NOTHING), tone, labels.get("host", ""), about, lasts))
    return tuple(sorted(found, key=lambda alert: (alert.tone != "bad", alert.name, alert.host, alert.about)))


def hosts(
    names: Sequence[str], found: Mapping[str, Drawn], answers: Answers, firing: Sequence[Alert]
) -> tuple[HostRow, ...]:
    """A row for each host of the inventory."""
    targets = by_label(answers.of("targets"), "host", "job")
    releases = {key[0]: key[1] for key in by_label(answers.of("release"), "host", "release")}
    up, slow = (by_label(answers.of(name), "host", "role") for name in ("roles", "slow"))
    drained, differs = (by_label(answers.of(name), "of") for name in ("drained", "differs"))

    def row(name: str) -> HostRow:
        down = sorted(role for (host, role), value in up.items() if host == name and not value)
        late = sorted(role for (host, role), value in slow.items() if host == name and value)
        silent = sorted(job for (host, job), value in targets.items() if host == name and not value)
        watched = any(host == name for host, _ in targets)
        state, tone = _state(
            silent, watched, down, late, {alert.tone for alert in firing if alert.host == name}
        )
        notes = [state]
        notes += ["drained"] if drained.get((name,)) else []
        notes += [f"differs by {differs[name,]:.0f}"] if differs.get((name,)) else []
        return HostRow(
            name,
            ", ".join(notes),
            tone,
            releases.get(name, NOTHING),
            tuple((panel.id, Cell(_now(found, panel, name), found[panel.id])) for panel in _SPARKS),
            tuple(_now(found, panel, name) for panel in _WORDS),
        )

    return tuple(row(name) for name in names)


def _state(
    silent: Sequence[str], watched: bool, down: Sequence[str], late: Sequence[str], firing: Set[Tone]
) -> tuple[str, Tone]:
    """A host's state: the worst that is known of it."""
    if not watched:
        return "not watched", "none"
    if silent:
        return f"{', '.join(silent)} silent", "bad"
    if down:
        return f"{', '.join(down)} down", "bad"
    if late:
        return f"{', '.join(late)} slow", "warn"
    return ("alert", "bad" if "bad" in firing else "warn") if firing else ("works", "good")


def roles(found: Mapping[str, Drawn], answers: Answers) -> tuple[RoleRow, ...]:
    """A row for each role."""
    up, slow = (by_label(answers.of(name), "host", "role") for name in ("roles", "slow"))

    def row(role: str) -> RoleRow:
        states = [value for (_, name), value in up.items() if name == role]
        late = sum(bool(value) for (_, name), value in slow.items() if name == role)
        down = sum(not value for value in states)
        said = f"{len(states) - down:.0f} of {len(states)}{f', {late} slow' if late else ''}"
        tone: Tone = "bad" if down else "warn" if late else "good"
        panels = (
            *(queries.ROLE_REQUESTS, queries.ROLE_ANSWER, queries.ROLE_FIRST, queries.ROLE_TOKENS),
            *(queries.PROBE_ANSWER, queries.PROBE_FIRST, queries.PROBE_SPEED, queries.PROBE_LOAD),
        )
        return RoleRow(role, said, tone, tuple(_now(found, panel, role) for panel in panels))

    return tuple(row(role) for role in sorted({role for _, role in up}))


def objectives(answers: Answers) -> tuple[Objective, ...]:
    """A row for each objective of each role."""
    goals, kept, left = (
        by_label(answers.of(name), "role", "objective") for name in ("goals", "kept", "left")
    )

    def row(key: tuple[str, ...]) -> Objective:
        role, name = key
        unit = _UNITS.get(name, "ratio")
        goal = f"{'at least' if name in _AT_LEAST else 'at most'} {words(goals.get(key), unit)}"
        budget = left.get(key)
        share = 100 * min(max(budget or 0, 0), 1)
        tone: Tone = (
            "none" if budget is None else "bad" if budget <= 0 else "warn" if budget < 0.25 else "good"
        )
        return Objective(
            *(role, name.replace("_", " "), goal, _percent(kept.get(key))),
            *("overspent" if share == 0 and budget is not None else words(budget, "ratio"), share, tone),
        )

    return tuple(row(key) for key in sorted({*goals, *kept, *left}))


def clients(answers: Answers) -> tuple[tuple[str, ...], ...]:
    """A row for each client: name, answers, tokens read and written, and the time of an answer."""
    columns = [by_label(answers.of(name), "client") for name in ("answers", "read", "written")]
    took = by_label(answers.of("client-p95"), "client")
    names = sorted(set().union(*columns), key=lambda name: (-columns[2].get(name, 0), name))
    return tuple(
        (name[0], *(f"{column.get(name, 0):,.0f}" for column in columns), words(took.get(name), "s"))
        for name in names
    )


def _now(found: Mapping[str, Drawn], panel: Panel, name: str) -> str:
    return words(found[panel.id].now(name), panel.unit)


def _percent(share: float | None) -> str:
    """Two digits behind the point: 99.95 % is not 100 %."""
    return NOTHING if share is None else f"{100 * share:.2f} %"


def _lasts(seconds: float) -> str:
    if not abs(seconds) <= _LONGEST_S:
        return NOTHING
    minutes = max(0, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 2880 else f"{minutes // 1440} days"
