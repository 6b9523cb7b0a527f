"""The tables of docs/benchmarks.md out of what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.measured import CORES, Sample
from bench.steps import Step

_MEMORY = 200  # MB: what no step may exceed
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

Samples = Mapping[str, Sequence[Sample]]
"""By the name of a step."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of the release, of the larger one, of what the upgrade changes, and of what its delta carries."""

    release: int
    larger: int
    upgrade: int
    delta: int


@dataclass(frozen=True)
class Target:
    """A figure of the specification and what was reached; `least`: it is a lower bound, else an upper one."""

    what: str
    reached: float
    bound: float
    unit: str
    least: bool

    @property
    def is_met(self) -> bool:
        """Whether it was reached."""
        return self.reached >= self.bound if self.least else self.reached <= self.bound


def targets(samples: Samples, sizes: Sizes, product: Iterable[str]) -> tuple[Target, ...]:
    """What was reached of the specification's figures, by medians.

    + product: names of the steps that run the product's own commands
    """
    took = {name: _median(sample.seconds for sample in of) for name, of in samples.items()}
    slower = max(took["hash"], took["cp"])
    moved = sizes.upgrade / sizes.release * slower
    memory = max(sample.memory for name in product for sample in samples[name])
    disk = max(sample.disk for sample in samples["build"]) / sizes.release
    verifying = took["hash-all"] / (took["import"] - took["start"])
    return (
        Target(
            "build, as a ratio of the slower of 1 core's hashlib and `cp`",
            slower / took["build"],
            0.8,
            "",
            True,
        ),
        Target("disk that a build takes at most, as a ratio of the content", disk, 1.05, "", False),
        Target(
            f"import, as a ratio of hashlib on {CORES} cores",
            took["hash-all"] / took["import"],
            0.9,
            "",
            True,
        ),
        Target("the same without the time that the command takes to start", verifying, 0.9, "", True),
        Target(
            f"import of the larger release, as a ratio of hashlib on {CORES} cores",
            took["larger-hash"] / took["larger-import"],
            0.9,
            "",
            True,
        ),
        Target(
            "build of a delta, beyond the slower of hashing and copying it",
            took["delta"] - moved,
            2,
            " s",
            False,
        ),
        Target(
            "bytes that a delta carries, as a ratio of those changed",
            sizes.delta / sizes.upgrade,
            1.01,
            "",
            False,
        ),
        Target("memory of the largest process of any step", memory / 1e6, _MEMORY, " MB", False),
    )


def tables(machine: str, samples: Samples, steps: Sequence[Step], sizes: Sizes, busy: str) -> str:
    """Everything that was measured, as Markdown.

    + machine, busy: sentences about the machine, and who disturbed it
    """
    product = [step.name for step in steps if step.command[0] == "sealift"]
    lines = [BEGIN, "", f"Machine: {machine}.", "", busy, ""]
    lines += ["| target | bound | reached | |", "|---|---|---|---|"]
    for target in targets(samples, sizes, product):
        sign, verdict = "≥" if target.least else "≤", "met" if target.is_met else "**missed**"
        bound, reached = (f"{value:.3g}{target.unit}" for value in (target.bound, target.reached))
        lines.append(f"| {target.what} | {sign} {bound} | {reached} | {verdict} |")
    lines += [
        "",
        f"The release has {sizes.release / 1e6:,.0f} MB, the larger one {sizes.larger / 1e6:,.0f} MB; "
        f"the upgrade changes {sizes.upgrade / 1e6:,.0f} MB.",
        "",
    ]
    lines += [
        "| step | runs | median | least to most | MB/s | processor | memory | disk | others |",
        "|" + "---|" * 9,
    ]
    lines += [_row(step, samples[step.name], sizes) for step in steps]
    return "\n".join([*lines, "", END])


def _row(step: Step, samples: Sequence[Sample], sizes: Sizes) -> str:
    seconds = sorted(sample.seconds for sample in samples)
    median = _median(seconds)
    size = {"release": sizes.release, "upgrade": sizes.upgrade, "larger": sizes.larger}[step.moves]
    rate = f"{size / median / 1e6:,.0f}" if step.reads else ""
    cpu = _median(sample.cpu for sample in samples)
    memory, disk = (max(values) / 1e6 for values in zip(*((s.memory, s.disk) for s in samples), strict=True))
    others = _median(sample.others for sample in samples)
    spread = f"{seconds[0]:.2f} to {seconds[-1]:.2f} s"
    return (
        f"| {step.title} | {len(samples)} | {median:.2f} s | {spread} | {rate} "
        f"| {cpu:.2f} s | {memory:.0f} MB | {disk:,.0f} MB | {others:.0%} |"
    )


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)
