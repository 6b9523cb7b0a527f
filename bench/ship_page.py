"""The tables and the plot of docs/benchmarks.md about shipping, out of what bench/ship.py measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.page import Target
from sealift import svg
from sealift.ship import simulate

BEGIN, END = "<!-- shipping: begin -->", "<!-- shipping: end -->"
_STARS = ("star", "scp", "rsync", "pyinfra", "Ansible")
_TITLES = {
    "alone": "one host alone, `sealift`",
    "chain": "`sealift`, a chain",
    "star": "`sealift` without a chain, all hosts at once",
    "swarm": "aria2 and opentracker",
    "scp": "`scp`, all hosts at once",
    "rsync": "`rsync`, all hosts at once",
    "pyinfra": "pyinfra `files.put`",
    "Ansible": "Ansible `copy`",
    "TCP": "a plain TCP connection",
    "none": "a chain, no host dies",
    "the middle one": "a chain, the middle host loses its power half-way",
}
# Of the specification: at so many hosts, times of one host alone in the same run, and of the wire's bound.
_CHAIN_BOUNDS = {8: (1.05, 1.12), 16: (1.06, 1.13), 32: (1.10, 1.17)}
_STYLE = (
    "svg { background: #fff; --soft: #5b6470; --ink: #1c232b; --line: #dde2e8; }\n"
    "@media (prefers-color-scheme: dark) { svg { background: #14181d; --soft: #9aa5b1; --ink: #e6eaef; "
    "--line: #2c343d; } }\n"
)


@dataclass(frozen=True)
class Run:
    """A run of a way of shipping.

    + rate: Mbit/s of each link; 0: not shaped
    + bytes: of the release
    + idle: share of the machine's processors that nobody wanted meanwhile
    + control, host: most bytes of memory of the control node's processes, and of the first host's; 0: unknown
    """

    part: str
    way: str
    hosts: int
    rate: int
    bytes: int
    seconds: float
    idle: float
    control: int
    host: int

    @property
    def bound(self) -> float:
        """Seconds that a link takes for the release's bytes alone."""
        return self.bytes * 8 / (self.rate * 1e6)


def replace(page: Path, tables: str) -> None:
    """Put tables in the place of the page's."""
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(before + tables + rest.partition(END)[2])


def tables(machine: str, runs: Sequence[Run]) -> str:
    """Everything that was measured, as Markdown.

    + machine: a sentence about it
    """
    idle = sorted(run.idle for run in runs)
    busy = (
        f"Of the processors, {statistics.median(idle):.0%} were idle in the median run, {idle[0]:.0%} in the "
        "busiest."
    )
    lines = [BEGIN, "", f"Machine: {machine}. {busy}", ""]
    lines += ["| target | bound | reached | |", "|---|---|---|---|"]
    for target in targets(runs):
        sign, verdict = "≥" if target.least else "≤", "met" if target.is_met else "**missed**"
        bound, reached = (f"{value:.3g}{target.unit}" for value in (target.bound, target.reached))
        lines.append(f"| {target.what} | {sign} {bound} | {reached} | {verdict} |")
    lines += [
        "",
        "| hosts | links | release | way | runs | median | least to most | of the bound | idle "
        "| control node | host |",
        "|" + "---|" * 11,
    ]
    lines += map(_row, _groups(runs))
    if any(run.part == "curve" for run in runs):
        lines += [
            "",
            "| hosts | a chain took | `sealift ship --simulate` says | off by |",
            "|---|---|---|---|",
        ]
        lines += _reckoned(runs)
    return "\n".join([*lines, "", END])


def _reckoned(runs: Sequence[Run]) -> Iterator[str]:
    """What the model says of the curve, beside what was measured."""
    for hosts in sorted({run.hosts for run in runs if run.part == "curve"}):
        for count, way in ((1, "alone"), (hosts, "chain")):
            if found := _of(runs, "curve", way, hosts):
                took, rate = _median(found), found[0].rate * 1e6 / 8
                says = simulate.chain(found[0].bytes, simulate.Fleet(count, rate))[-1]
                yield f"| {count} | {took:.2f} s | {says:.2f} s | {says / took - 1:+.0%} |"


def targets(runs: Sequence[Run]) -> Iterator[Target]:
    """What was reached of the specification's figures, by medians, as far as it was measured."""
    for count, (alone, bound) in _CHAIN_BOUNDS.items():
        chain, one = _of(runs, "curve", "chain", count), _of(runs, "curve", "alone", count)
        if chain and one:
            took = _median(chain)
            yield Target(f"a chain of {count}, of one host alone", took / _median(one), alone, "", False)
            yield Target(f"a chain of {count}, of the wire's bound", took / chain[0].bound, bound, "", False)
    chain, swarm = (_of(runs, "star", way) for way in ("chain", "swarm"))
    stars = {way: found for way in _STARS if way != "star" and (found := _of(runs, "star", way))}
    if chain and stars:
        best = min(stars, key=lambda way: _median(stars[way]))
        times = _median(stars[best]) / _median(chain)
        what = f"the best customary star ({best}) to {chain[0].hosts}, times the chain"
        yield Target(what, times, 6, "", True)
    if chain and swarm:
        times = _median(swarm) / _median(chain)
        yield Target(f"a swarm to {chain[0].hosts}, times the chain", times, 1, "", True)
    if dead := _of(runs, "dead", "the middle one"):
        extra = _median(dead) - _median(_of(runs, "dead", "none"))
        yield Target("the middle host of 8 dies: takes longer by", extra, 10, " s", False)
    if unshaped := _of(runs, "unshaped", "chain"):
        others = [_median(found) for way in _STARS if (found := _of(runs, "unshaped", way))]
        what = f"links faster than processors, {unshaped[0].hosts} hosts: a chain, of the best star"
        yield Target(what, _median(unshaped) / min(others), 1, "", False)
    if idle := _of(runs, "idle", "chain"):
        yield Target(f"nothing to ship to {idle[0].hosts} hosts", _median(idle), 2, " s", False)
    if control := max((run.control for run in runs), default=0):
        yield Target("memory of the control node, all processes", control / 1e6, 100, " MB", False)
    if host := max((run.host for run in runs if run.way == "chain"), default=0):
        yield Target("memory of a host in a chain, all processes", host / 1e6, 50, " MB", False)


def _of(runs: Iterable[Run], part: str, way: str, hosts: int = 0) -> list[Run]:
    return [run for run in runs if run.part == part and run.way == way and hosts in (0, run.hosts)]


def _median(runs: Iterable[Run]) -> float:
    return statistics.median(run.seconds for run in runs)


def _groups(runs: Sequence[Run]) -> Iterator[list[Run]]:
    keys = dict.fromkeys((run.part, run.rate, run.hosts, run.way) for run in runs)
    for key in keys:
        yield [run for run in runs if (run.part, run.rate, run.hosts, run.way) == key]


def _row(runs: Sequence[Run]) -> str:
    first, seconds = runs[0], sorted(run.seconds for run in runs)
    hosts = 1 if first.way in ("alone", "TCP") else first.hosts
    links = f"{first.rate} Mbit/s" if first.rate else "not shaped"
    times = f"{_median(runs) / first.bound:.2f}" if first.rate else ""
    control, host = (
        max(values) / 1e6 for values in zip(*((run.control, run.host) for run in runs), strict=True)
    )
    return (
        f"| {hosts} | {links} | {first.bytes / 1e6:.0f} MB | {_TITLES[first.way]} | {len(runs)} "
        f"| {_median(runs):.2f} s | {seconds[0]:.2f} to {seconds[-1]:.2f} s | {times} "
        f"| {statistics.median(run.idle for run in runs):.0%} "
        f"| {f'{control:.0f} MB' if control else ''} | {f'{host:.0f} MB' if host else ''} |"
    )


def plot(runs: Sequence[Run]) -> str:
    """Seconds over the number of hosts, as an SVG file: chain, swarm, star as reckoned, and bound."""
    curve = [run for run in runs if run.part == "curve"]
    counts = sorted({run.hosts for run in curve})
    one = [run for run in curve if run.way == "alone"]
    alone, bound = _median(one), one[0].bound
    shown = [count for count in range(1, counts[-1] + 1) if count * alone <= 4 * alone]
    curves = [
        svg.Curve("chain", ((1, alone), *((n, _median(_of(curve, "curve", "chain", n))) for n in counts))),
        svg.Curve(
            "swarm", tuple((n, _median(found)) for n in counts if (found := _of(curve, "curve", "swarm", n)))
        ),
        svg.Curve("star", tuple((n, n * alone) for n in shown)),
        svg.Curve("bound", ((1, bound), (counts[-1], bound))),
    ]
    places = (1, *counts)
    x = svg.Axis(1, counts[-1], tuple((place, str(place)) for place in places))
    y = svg.number_axis(value for each in curves for _, value in each.points)
    drawn = svg.draw(curves, x, y, "Seconds until the last host has all, over the number of hosts")
    head = '<svg xmlns="http://www.w3.org/2000/svg" '
    style = f"<style>{_STYLE}{svg.STYLE}</style>"
    start, _, rest = str(drawn).partition(">")
    return f"{start.replace('<svg ', head, 1)}>{style}{rest}\n"
