"""Runs the acceptance tests: a pytest process per host, each with that host's expectations and no others.

A process per host keeps a host that hangs from holding up the rest, and its secrets to itself.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from sealift.evidence import expectations as expected
from sealift.evidence import junit
from sealift.evidence.expectations import Expectations
from sealift.evidence.types import ClaimResult
from sealift.processes import WITH_US
from sealift.progress import Progress
from sealift.scratch import scratch
from sealift.threads import at_once

_ROOT = Path(__file__).parents[2]
_TESTS = _ROOT / "tests" / "hosts"
_LIMIT_S = 1200  # for all claims of a host, a slow model's answers among them
_PERCENT = re.compile(r"\[ *(\d+)%\]$")


def verify_hosts(
    hosts: Sequence[Expectations], enter: Sequence[str], threads: int, progress: Progress
) -> tuple[ClaimResult, ...]:
    """Check every claim on every host.

    + hosts: what to expect of each
    + enter: command and arguments that start a process where the hosts can be reached; empty for here
    + threads: hosts that are checked at the same time
    + progress: told (host, per cent done, 100)

    A host whose tests did not come to an end has one more claim, failed, that says so.
    """
    for host in hosts:
        progress(host.host, 0, 100)
    guard = threading.Lock()

    def tell(what: str, done: int, total: int) -> None:
        with guard:
            progress(what, done, total)

    with scratch("verify") as folder:
        found = at_once(lambda host: _verify(host, folder, enter, tell), hosts, threads)
    return tuple(result for results in found for result in results)


def _verify(
    host: Expectations, folder: Path, enter: Sequence[str], progress: Progress
) -> tuple[ClaimResult, ...]:
    facts, results = folder / f"{host.host}.json", folder / f"{host.host}.xml"
    expected.write(host, facts)
    command = [*WITH_US, *enter, *_pytest(facts, results)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        stop = threading.Timer(_LIMIT_S, process.terminate)
        stop.start()
        try:
            said = _follow(process, host.host, progress)
        finally:
            stop.cancel()
    claims = junit.parse(results.read_bytes(), host.host) if results.exists() else ()
    if process.returncode not in (0, 1) or not claims:
        claims += (_did_not_finish(host.host, process.returncode, said),)
    for key in (host.api_key, host.acceptance_key):
        if key:
            claims = tuple(_without(key.get_secret_value(), claim) for claim in claims)
    return claims


def _pytest(facts: Path, results: Path) -> list[str]:
    options = (
        f"-v --tb=short --show-capture=no --junitxml={results} -o junit_family=xunit2 -p no:cacheprovider"
    )
    return [
        *(sys.executable, "-m", "pytest", str(_TESTS), f"--rootdir={_ROOT}", f"--expectations={facts}"),
        *options.split(),
    ]


def _follow(process: subprocess.Popen[bytes], host: str, progress: Progress) -> list[str]:
    said: list[str] = []
    if process.stdout is None:  # for the type checker: it is a pipe
        raise AssertionError
    for raw in process.stdout:
        line = raw.decode(errors="replace").rstrip()
        said.append(line)
        if found := _PERCENT.search(line):
            progress(host, int(found[1]), 100)
    return said


def _did_not_finish(host: str, code: int, said: list[str]) -> ClaimResult:
    return ClaimResult(
        host=host,
        area="acceptance",
        name="came_to_an_end",
        claim="The acceptance tests come to an end.",
        outcome="failed",
        seconds=0,
        detail="\n".join([f"pytest ended with {code}; it said last:", *said[-12:]]),
    )


def _without(secret: str, claim: ClaimResult) -> ClaimResult:
    """The claim with `secret` blotted out, should a host have echoed it."""
    return claim.model_copy(
        update={
            "detail": claim.detail.replace(secret, "[key]"),
            "observed": {name: value.replace(secret, "[key]") for name, value in claim.observed.items()},
        }
    )
