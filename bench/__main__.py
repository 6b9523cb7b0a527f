"""Measures speed, memory and disk against their limits and the customary way: `make bench`.

The commands run in turn, round by round, on files out of the page cache. A run during which others took much
of the machine is made again, and of its tries the quietest counts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from itertools import product
from pathlib import Path

from bench import machine, material, page
from bench.measured import Sample, run, warm
from bench.steps import Step, customary, larger, steps
from sealift.blob import Blob
from sealift.errors import SealiftError
from sealift.release.locked import Lock
from sealift.release.lockfile import load_lock

_TRIES = 3
_LONG = 15  # seconds of a run that is not made again: disturbances are the same over all of them


def main() -> int:
    """Run as a command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, and write the tables.")
    parser.add_argument(
        "--sources", type=Path, default=Path("build/ingredients"), help="the demo's ingredients"
    )
    parser.add_argument("--work", type=Path, default=Path("build/bench"), help="folder to write below")
    parser.add_argument("--size", type=int, default=1 << 30, help="bytes of the large model")
    parser.add_argument("--larger", type=int, default=8 << 30, help="bytes of the larger release's model")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each command")
    parser.add_argument(
        "--busy", type=float, default=0.1, help="share of others above which a run is repeated"
    )
    parser.add_argument("--page", type=Path, help="page whose tables are replaced; default: they are printed")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: expected 1 at least")
    work = options.work.resolve()
    try:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        found = _measure(work, options.sources, (options.size, options.larger), options.rounds, options.busy)
    except SealiftError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if options.page is None:
        print(found)
    else:
        before, _, rest = options.page.read_text().partition(page.BEGIN)
        options.page.write_text(before + found + rest.partition(page.END)[2])
    return 0


def _measure(work: Path, sources: Path, models: tuple[int, int], rounds: int, most: float) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    (work / "tmp").mkdir()
    own = {"PATH": path, "SEALIFT_CACHE": str(work / "cache"), "TMPDIR": str(work / "tmp")}
    # Settings of this shell's Python, such as to write no bytecode, are no operator's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | own

    def quietly(*command: str | Path) -> None:
        run(command, environment, work)

    _tell("making what is measured with")
    made = material.make(work, sources, *models)
    signed = ("--sources", made.sources, "--key", made.key)
    for name in ("release", "upgrade", "larger"):
        quietly(
            "sealift",
            "lock",
            work / f"{name}.yaml",
            "--sources",
            made.sources,
            "--out",
            work / f"{name}.lock",
        )
    for name, bundle in (("release", "bundle"), ("larger", "larger")):
        quietly("sealift", "build", work / f"{name}.lock", *signed, "--out", work / bundle)
    shutil.copytree(work / "bundle", work / "carried")
    for blob in (work / "carried/blobs/sha256").iterdir():
        blob.chmod(0o644)
    groups = steps(made, work, quietly), larger(made, work), customary(made, work)
    todo = [step for group in groups for step in group]
    samples: dict[str, list[Sample]] = {step.name: [] for step in todo}
    tries = 0
    for group, number in product(groups, range(1, rounds + 1)):
        for step in group:
            tried = _quietest(step, environment, work, most)
            tries += len(tried)
            last = min(tried, key=lambda sample: sample.others)
            samples[step.name].append(last)
            took = f"{last.seconds:.2f} s, processor {last.cpu:.2f} s, others {last.others:.0%}"
            _tell(f"round {number}: {step.name} {took}")
    sizes = _sizes(load_lock(work / "release.lock"), load_lock(work / "upgrade.lock"), work)
    kept = [sample.others for of in samples.values() for sample in of]
    busy = (
        f"{rounds} rounds; {tries - len(kept)} of {tries} runs were left out, for a quieter one of the same. "
        f"While those that count ran, others took {sum(kept) / len(kept):.0%} of the processors on average, "
        f"{max(kept):.0%} at most; the load average was {os.getloadavg()[2]:.1f} at the end."
    )
    return page.tables(machine.describe(work), samples, todo, sizes, busy)


def _quietest(step: Step, environment: dict[str, str], work: Path, most: float) -> list[Sample]:
    """Runs of a step, until one had no more than `most` of the machine taken by others, or it is no use."""
    tried: list[Sample] = []
    while len(tried) < _TRIES and all(made.others > most and made.seconds < _LONG for made in tried):
        step.prepare()
        for folder in step.reads:
            warm(folder)
        # Last, so that all runs find as much memory just given back: in some virtual machines other memory is
        # slow at first touch.
        for folder in step.makes:
            shutil.rmtree(folder, ignore_errors=True)
        os.sync()  # room on the disk is given back with it
        tried.append(run(step.command, environment, work))
    return tried


def _sizes(release: Lock, upgrade: Lock, work: Path) -> page.Sizes:
    """What a release has, what an upgrade changes of its models, and what its delta carries."""
    before = {blob.digest for blob in _blobs(release)}
    changed = sum(blob.size for blob in _blobs(upgrade) if blob.digest not in before)
    stored = {name: _stored(work / name) for name in ("bundle", "larger", "delta")}
    return page.Sizes(stored["bundle"], stored["larger"], changed, stored["delta"])


def _blobs(lock: Lock) -> set[Blob]:
    return {blob for model in lock.models.values() for blob in model.blobs}


def _stored(bundle: Path) -> int:
    return sum(path.stat().st_size for path in (bundle / "blobs/sha256").iterdir())


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
