"""What clients used, as Prometheus kept it: for months, where the gateways' logs reach back for days.

It has sums and histograms of answers that say their tokens, and knows no single request: what was refused,
what did not say its tokens, and how fast the models themselves were, is in the logs alone.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from sealift.clients.usage import By, Usage
from sealift.site.inventory import Host
from sealift.svg import is_shown
from sealift.watch.panel import OF_GATEWAYS
from sealift.watch.prometheus import Answers, Question, Series, Window, ask

_STEPS = 200  # over the whole time, to find out since when a host is watched
_LEAST_S = 60
_LABELS = ("client", "role", "host")


@dataclass(frozen=True)
class Kept:
    """What Prometheus kept.

    + host: that it runs on
    + begins: by host, since when it is watched
    """

    host: str
    begins: Mapping[str, datetime]
    used: Mapping[str, Usage]


class _Sums(NamedTuple):
    answers: float = 0
    read: float = 0
    written: float = 0


def kept_usage(monitors: Sequence[Host], names: Sequence[str], over: tuple[int, int], by: By) -> Kept:
    """Ask Prometheus what was used of some hosts.

    + monitors: the hosts that it runs on
    + names: of the hosts that are meant
    + over: from when to when, in seconds since 1970

    Raises SealiftError where no Prometheus answers.
    """
    return parse_kept(ask(monitors, questions(names, over, by), over[1]), by)


def questions(names: Sequence[str], over: tuple[int, int], by: By) -> Mapping[str, Question]:
    """What is asked."""
    start, end = over
    length = f"{max(end - start, _LEAST_S)}s"
    hosts = "|".join(map(re.escape, names)).replace("\\", "\\\\").replace('"', '\\"')
    own = f'{OF_GATEWAYS},host=~"{hosts}"'
    series = {"answers": "answer_count", "read": "tokens_in", "written": "tokens_out"}
    step = max(_LEAST_S, math.ceil((end - start) / _STEPS))
    buckets = f"sum by (le, {by}) (increase(envoy_usage_answer_bucket{{{own}}}[{length}]))"
    return {
        **{name: Question(_grown(f"envoy_usage_{of}{{{own}}}", length)) for name, of in series.items()},
        "took": Question(f"histogram_quantile(0.5, {buckets})"),
        "watched": Question(f"max by (host) (up{{{own}}})", Window(start, end, step)),
    }


def _grown(series: str, length: str) -> str:
    """By how much a counter grew. One that began meanwhile began at 0, which `increase` does not know."""
    grown = f"increase({series}[{length}])"
    new = f"(min_over_time({series}[{length}]) unless {series} offset {length})"
    return f"sum by (host, client, role) ({grown} + ({new} or 0 * {grown}))"


def parse_kept(answers: Answers, by: By) -> Kept:
    """Sum up what Prometheus answered."""
    sums: dict[str, _Sums] = defaultdict(_Sums)
    for column in _Sums._fields:
        for labels, value in _values(answers.of(column)):
            name = labels[by]
            sums[name] = sums[name]._replace(**{column: getattr(sums[name], column) + value})
    took = {each.labels.get(by): each.last for each in answers.of("took") if is_shown(each.last)}
    begins = {
        each.labels.get("host", ""): datetime.fromtimestamp(each.points[0][0], UTC)
        for each in answers.of("watched")
    }
    used = {name: _usage(sums[name], took.get(name)) for name in sorted(sums)}
    return Kept(answers.host, begins, used)


def _values(found: Sequence[Series]) -> list[tuple[Mapping[str, str], float]]:
    return [
        (each.labels, each.last)
        for each in found
        if is_shown(each.last) and all(label in each.labels for label in _LABELS)
    ]


def _usage(sums: _Sums, took: float | None) -> Usage:
    return Usage(
        requests=round(sums.answers),
        refused=None,
        unknown=None,
        tokens_in=round(sums.read),
        tokens_out=round(sums.written),
        first_token_ms=None,
        answer_ms=None if took is None else round(took),
        tokens_per_second=None,
        load_ms=None,
        source="prometheus",
    )


def earlier(
    begins: Mapping[str, datetime | None], start: datetime, now: datetime
) -> Mapping[datetime, Sequence[str]]:
    """Hosts whose logs do not go back far enough, by the time until which Prometheus is to be asked of them.

    + begins: by host, of its log; None where there is none
    + start: of the time that is meant
    """
    found: dict[datetime, list[str]] = defaultdict(list)
    for host, begin in begins.items():
        if begin is None or begin > start:
            found[begin or now].append(host)
    return found


def merged(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> Mapping[str, Usage]:
    """The sum of what was used before and after some time, by name.

    What one source alone knows is that one's figure.
    """
    return {
        name: _sum(before[name], after[name])
        if name in before and name in after
        else {**before, **after}[name]
        for name in sorted({**before, **after})
    }


def _sum(before: Usage, after: Usage) -> Usage:
    return replace(
        after,
        requests=before.requests + after.requests,
        tokens_in=before.tokens_in + after.tokens_in,
        tokens_out=before.tokens_out + after.tokens_out,
        answer_ms=before.answer_ms if after.answer_ms is None else after.answer_ms,
        source=after.source if before.source == after.source else "both",
    )
