"""Verifies the hosts of an inventory: what is expected, the tests, and what came of them."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pydantic import SecretStr

from sealift.errors import SealiftError
from sealift.evidence.expectations import Expectations, expect
from sealift.evidence.run import verify_hosts
from sealift.evidence.types import Evidence, VerifiedHost
from sealift.fleet.survey import targets, wanted_of
from sealift.host.wanted import Wanted
from sealift.lab.network import entering, is_inside, lab_of
from sealift.progress import Progress
from sealift.site.inventory import Inventory
from sealift.site.secrets import open_secrets
from sealift.ssh import Ssh

_AT_ONCE = 16  # hosts; each waits for its own model
# A lab's hosts share the processors of one machine: models that answer together take longer than in turn,
# because Ollama's threads spin while they wait for each other.
_LAB_AT_ONCE = 1


def verify(inventory: Inventory, progress: Progress) -> Evidence:
    """Check every claim of `tests/hosts` on the hosts of an inventory.

    + inventory: the hosts and their settings
    + progress: told (host, per cent done, 100)

    Raises SealiftError where the depot lacks the release or the hosts have releases that differ.
    """
    expected = [_expect(wanted) for wanted in wanted_of(targets(inventory)).values()]
    release, bundle = _one_release(inventory, expected)
    lab = lab_of(inventory.hosts[0].settings.ssh_config_file)
    enter = (
        entering(lab, []) if lab and not is_inside(lab) else []
    )  # a lab's gateways answer in its closed network alone
    results = verify_hosts(expected, enter, _LAB_AT_ONCE if lab else _AT_ONCE, progress)
    return Evidence(
        inventory=inventory.name,
        release=release,
        bundle=bundle,
        verified_at=datetime.now(UTC).replace(microsecond=0),
        verified_on=platform.node(),
        hosts=tuple(VerifiedHost(name=e.host, address=e.address, groups=e.groups) for e in expected),
        results=results,
    )


def _expect(wanted: Wanted) -> Expectations:
    settings = wanted.settings
    return expect(
        wanted,
        address=Ssh(wanted.host, settings.ssh_config_file).address(),
        api_key=_api_key(settings.secrets, settings.identity),
    )


@cache
def _api_key(secrets: Path, identity: Path) -> SecretStr:
    """Open a site's secrets once, however many hosts it has."""
    return open_secrets(secrets, identity).first_key


def _one_release(inventory: Inventory, expected: Sequence[Expectations]) -> tuple[str, str]:
    releases = {(e.release, e.bundle) for e in expected}
    if len(releases) > 1:
        names = ", ".join(sorted(f"{release} of {bundle[:19]}" for release, bundle in releases))
        raise SealiftError(
            f"{inventory.path}: its hosts have different releases ({names}), "
            "expected one, for evidence names one bundle. Verify them apart with --limit."
        )
    return releases.pop()
