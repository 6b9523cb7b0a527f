"""Verifies the hosts of an inventory: what is expected, the tests, and what came of them."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from sealift.errors import SealiftError
from sealift.evidence.code import code_digest
from sealift.evidence.expectations import Expectations, expect
from sealift.evidence.run import verify_hosts
from sealift.evidence.types import Evidence, VerifiedHost
from sealift.fleet.reach import way_in
from sealift.fleet.survey import targets, wanted_of
from sealift.host.wanted import Wanted
from sealift.progress import Progress
from sealift.site.inventory import Inventory
from sealift.site.secrets import ACCEPTANCE, Secrets, open_secrets
from sealift.ssh import Ssh


def verify(inventory: Inventory, progress: Progress) -> Evidence:
    """Check every claim of `tests/hosts` on the hosts of an inventory.

    + inventory: the hosts and their settings
    + progress: told (host, per cent done, 100)

    Raises SealiftError where the depot lacks the release or the hosts have releases that differ.
    """
    expected = [_expect(wanted) for wanted in wanted_of(targets(inventory)).values()]
    release, bundle = _one_release(inventory, expected)
    enter = way_in(inventory, os.environ)
    at_once = inventory.hosts[0].settings.verify_at_once
    results = verify_hosts(expected, enter, at_once, progress)
    return Evidence(
        inventory=inventory.name,
        release=release,
        bundle=bundle,
        verified_at=datetime.now(UTC).replace(microsecond=0),
        verified_on=platform.node(),
        code=code_digest(),
        hosts=tuple(VerifiedHost(name=e.host, address=e.address, groups=e.groups) for e in expected),
        results=results,
    )


def _expect(wanted: Wanted) -> Expectations:
    settings = wanted.settings
    secrets, today = _secrets(settings.secrets, settings.identity), datetime.now(UTC).date()
    return expect(
        wanted,
        address=Ssh(wanted.host, settings.ssh_config_file).address(),
        api_key=secrets.first_key(today),
        acceptance_key=secrets.acceptance_key(today),
        acceptance_roles=secrets.allowed.get(ACCEPTANCE, ()),
    )


@cache
def _secrets(secrets: Path, identity: Path) -> Secrets:
    """Open a site's secrets once, however many hosts it has."""
    return open_secrets(secrets, identity)


def _one_release(inventory: Inventory, expected: Sequence[Expectations]) -> tuple[str, str]:
    releases = {(e.release, e.bundle) for e in expected}
    if len(releases) > 1:
        names = ", ".join(sorted(f"{release} of {bundle[:19]}" for release, bundle in releases))
        raise SealiftError(
            f"{inventory.path}: its hosts have different releases ({names}), "
            "expected one, for evidence names one bundle. Verify them apart with --limit."
        )
    return releases.pop()
