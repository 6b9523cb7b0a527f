"""The runs of a site, kept beside its depot, and one held against another."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sealift.errors import SealiftError
from sealift.files import canonical_json, parse_json, read_limited, write_atomically
from sealift.measure.results import Bench, Load, Step
from sealift.site.inventory import Inventory

_LIMIT = 64 << 20  # bytes of a run
_RUNS = 20  # of a site, that stay
_LEAST_S = 0.001  # of which no ratio is worth telling


def folder_of(inventory: Inventory) -> Path:
    """Where a site's runs stay: beside its depot, where no release takes them away."""
    return inventory.hosts[0].settings.depot.absolute().parent / "bench"


def keep(bench: Bench, folder: Path) -> Path:
    """Write a run to a file of its own, and take away those of the site that are older than its last 20."""
    moment = bench.began.strftime("%Y%m%dT%H%M%SZ")
    path = folder / f"{bench.site}-{moment}-{bench.bundle.removeprefix('sha256:')[:12]}.json"
    write_atomically(path, canonical_json(bench.model_dump(mode="json"), indent=1))
    for old in _runs(bench.site, folder)[:-_RUNS]:
        old.unlink(missing_ok=True)
    return path


def _runs(site: str, folder: Path) -> list[Path]:
    """The files of a site's runs, the oldest first. That of another site may begin with this one's name."""
    form = re.compile(rf"{re.escape(site)}-[0-9]{{8}}T[0-9]{{6}}Z-[0-9a-f]{{12}}\.json")
    return sorted(path for path in folder.glob("*.json") if form.fullmatch(path.name) and path.is_file())


def read(path: Path) -> Bench:
    """A run that was kept. Raises SealiftError where it is none."""
    try:
        return Bench.model_validate(parse_json(read_limited(path, _LIMIT), str(path)))
    except ValidationError:
        raise SealiftError(
            f"{path}: is no run of sealift bench, or one of another sealift. Move it away."
        ) from None


def last_before(bench: Bench, folder: Path, warn: Callable[[str], None]) -> Bench | None:
    """The last run of the site with another release; of this one, where there is none with another.

    + warn: takes what is said of one that cannot be read, which is left out
    """
    runs: list[Bench] = []
    for path in _runs(bench.site, folder):
        try:
            runs.append(read(path))
        except SealiftError as error:
            warn(str(error))
    earlier = [run for run in runs if run.site == bench.site and run.began < bench.began]
    others = [run for run in earlier if run.bundle != bench.bundle]
    return max(others or earlier, key=lambda run: run.began, default=None)


@dataclass(frozen=True)
class Compared:
    """A median, now and in the run before.

    + slower: how many times worse it has become; below 1, it is better
    """

    host: str
    role: str
    what: str
    unit: str
    before: float
    now: float
    slower: float


def compare(before: Bench, now: Bench) -> Iterator[Compared]:
    """What both runs have measured in the same way."""
    earlier = {step.key: step for step in before.steps}
    for step in now.steps:
        if (other := earlier.get(step.key)) and before.predict == now.predict:
            what = f"{step.prompt} prompt, {step.streams} streams"
            yield from _times(other, step, what)
            if step.rate and other.rate and other.rate.median and step.rate.median:
                rates = (other.rate.median, step.rate.median)
                slower = rates[0] / rates[1]
                yield Compared(step.host, step.role, f"{what}: one stream", "tokens/s", *rates, slower)
    loads = {load.key: load for load in before.loads}
    for load in now.loads:
        if past := loads.get(load.key):
            yield from _times(past, load, f"{load.rate:g} requests a second")


def _times(before: Step | Load, now: Step | Load, what: str) -> Iterator[Compared]:
    pairs = {
        "first token": (before.first_s, now.first_s),
        "answer": (before.answer_s, now.answer_s),
    }
    for name, (old, new) in pairs.items():
        if old and new and old.median > _LEAST_S:
            slower = new.median / old.median
            yield Compared(now.host, now.role, f"{what}: {name}", "s", old.median, new.median, slower)
