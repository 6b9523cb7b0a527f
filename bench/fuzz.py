"""Spoils the good input of every parser of foreign bytes, and tells which of them breaks its promise.

    python -m bench.fuzz --cases 200000 --seed 1

The same seed gives the same cases. A case is known by its number: --target NAME --case N runs it again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from tests.fuzz.judge import judge
from tests.fuzz.mutate import Case, spoil
from tests.fuzz.registry import targets
from tests.fuzz.target import Target


@dataclass
class Found:
    """What a target did with its cases.

    + slowest: seconds of this process's own work for one case
    + broken: number of the first case of each defect, and what it was
    """

    cases: int = 0
    parsed: int = 0
    seconds: float = 0
    slowest: float = 0
    broken: dict[str, tuple[int, str]] = field(default_factory=dict)


def case_of(target: Target, seed: int, number: int) -> Case:
    """A case, by its number."""
    random = Random(f"{seed} {target.name} {number}")  # noqa: S311 - no secret comes out of this
    return spoil(random, target.seeds, target.words)


def run(target: Target, seed: int, numbers: Sequence[int], folder: Path) -> Found:
    """Judge cases one by one.

    + folder: made for each case and removed after it
    """
    found = Found()
    for number in numbers:
        folder.mkdir()
        began = time.perf_counter()
        verdict = judge(target, case_of(target, seed, number), folder)
        found.seconds += time.perf_counter() - began
        shutil.rmtree(folder)
        found.cases += 1
        found.parsed += verdict.parsed
        found.slowest = max(found.slowest, verdict.seconds)
        if verdict.broken:
            found.broken.setdefault(verdict.place, (number, verdict.broken))
    return found


def shares(chosen: Sequence[Target], cases: int) -> dict[str, int]:
    """How many cases each target gets: fewer where one takes longer, 200 at least."""
    weights = {target.name: 1 / target.cost for target in chosen}
    total = sum(weights.values())
    return {name: max(200, round(cases * weight / total)) for name, weight in weights.items()}


def main() -> int:
    """Run, print a table, and say by the exit code whether every promise was kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=200_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=sorted(targets()), help="only this one")
    parser.add_argument("--case", type=int, help="only this number")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    chosen = [targets()[given.target]] if given.target else list(targets().values())
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory(prefix="sealift-fuzz-") as scratch:
        for target in chosen:
            count = shares(chosen, given.cases)[target.name]
            numbers = range(count) if given.case is None else range(given.case, given.case + 1)
            found[target.name] = run(target, given.seed, numbers, Path(scratch) / "case")
            if not given.json:
                print(_line(target.name, found[target.name]), flush=True)
    broken = sum(len(of.broken) for of in found.values())
    if given.json:
        print(json.dumps({name: asdict(of) for name, of in found.items()}, indent=1))
    else:
        cases = sum(of.cases for of in found.values())
        rate = cases / sum(of.seconds for of in found.values())
        print(f"{cases} cases of {len(found)} targets, {rate:.0f}/s: {broken} broken")
    return 1 if broken else 0


def _line(name: str, of: Found) -> str:
    figures = (
        f"{of.cases:7} cases {of.cases / of.seconds:7.0f}/s {of.parsed:7} parsed, slowest {of.slowest:.2f} s"
    )
    lines = [f"{name:36} {figures}"]
    for place, (number, what) in of.broken.items():
        lines.append(f"  BROKEN {place}, case {number}:")
        lines += [f"    {line}" for line in what.rstrip().splitlines()[-8:]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
