"""Spoiled bodies by the hundred thousand for the gateway's guard, and how fast it reads large ones.

    python -m bench.guard --cases 100000 --seed 1

The same seed gives the same bodies. A body is known by its number: --case N judges it alone and says what
became of it. luajit must be installed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path

from demo.go import find_go
from sealift.cache import cache_folder
from sealift.host.inputs import Guard
from tests.fuzz import guard
from tests.fuzz.bodies import Body, plain_bodies, spoiled_bodies
from tests.fuzz.guard import MODES, REFUSE

_BATCH = 5000
_SIZE = 16 << 20  # bytes
_TIMES = 5
_VALUES = 499_000  # in an array of objects with one value each: the guard reads a million
_BODIES = {
    "an image in base64": ('"messages":[{"images":["', "QUJD", '"]}]'),
    "English": ('"prompt":"', "The quick brown fox. ", '"'),
    "German": ('"prompt":"', "fr\u00fcher ", '"'),
    "Chinese": ('"prompt":"', "\u4f60\u597d", '"'),
    "Chinese in escapes": ('"prompt":"', "\\u4f60", '"'),
    "line breaks in escapes": ('"prompt":"', "ab\\n", '"'),
    "half a million objects": ('"x":[', '{"abcdefg":"b"},', "1]"),
    "half a million texts": ('"x":[', '"abcdefghijklm",', "1]"),
}


def main() -> int:
    """Run, print what was found, and say by the exit code whether nothing got past."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int, help="only this number")
    given = parser.parse_args()
    numbers = range(given.cases) if given.case is None else range(given.case, given.case + 1)
    with tempfile.TemporaryDirectory(prefix="sealift-guard-") as scratch:
        work = Path(scratch)
        decoder = guard.build_decoder(find_go(cache_folder(os.environ) / "ingredients", print).command, work)
        if given.case is not None:
            (body,) = spoiled_bodies(given.seed, numbers)
            print(body, guard.judge(guard.source(REFUSE), (body,), work)[0], sep="\n")
        found = [line for mode in MODES for line in _fuzz(mode, given.seed, numbers, decoder, work)]
        for line in found:
            print(line)
        if given.case is None:
            _measure(work)
    return 1 if found else 0


def _fuzz(mode: str, seed: int, numbers: range, decoder: Path, work: Path) -> list[str]:
    rules, context = MODES[mode]
    text, passed, began = guard.source(rules), 0, time.perf_counter()
    found: list[str] = []
    for start in range(0, len(numbers), _BATCH):
        bodies = spoiled_bodies(seed, numbers[start : start + _BATCH])
        more, bad = guard.bypasses(text, bodies, decoder, work, context)
        passed += more
        found += bad
    good = plain_bodies(seed, range(_BATCH))
    refused = _BATCH - guard.bypasses(text, good, decoder, work, context)[0]
    seconds = time.perf_counter() - began
    print(
        f"{mode}: {len(numbers)} spoiled bodies in {seconds:.0f} s, {passed} pass, {len(found)} get past; "
        f"{refused} of {_BATCH} good ones refused"
    )
    return found + [f"{mode}: refuses good bodies"] * (refused > 0)


def _measure(work: Path) -> None:
    rules = dataclasses.replace(REFUSE, context=_SIZE)
    for name, (opening, unit, closing) in _BODIES.items():
        count = min(_SIZE // len(unit.encode()), _VALUES if opening.endswith('"x":[') else _SIZE)
        _time(name, rules, f"{opening}{unit * count}{closing}", work)
    _time("a usual request", rules, '"prompt":"{}"'.format("The quick brown fox. " * 100), work)


def _time(name: str, rules: Guard, members: str, work: Path) -> None:
    body = Body("/api/chat", f'{{"model":"chat",{members}}}'.encode())
    seconds = guard.seconds(guard.source(rules), body, _TIMES, work)
    kib = len(body.content) / (1 << 10)
    print(f"{name:24} {kib:7.0f} KiB {seconds * 1000:8.3f} ms {kib / seconds / (1 << 10):6.0f} MiB/s")


if __name__ == "__main__":
    sys.exit(main())
