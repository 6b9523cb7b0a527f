"""Puts evidence on disk as JSON, JUnit XML and a page, in a folder of its own."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from pydantic import ValidationError

from sealift import mistakes
from sealift.errors import SealiftError
from sealift.evidence import junit, page
from sealift.evidence.types import Evidence
from sealift.files import canonical_json, parse_json, read_limited, sync_folder, write_atomically
from sealift.release.values import MOST_NAMED
from sealift.site.inventory import Inventory

EVIDENCE = "evidence"  # folder beside a depot
_LIMIT = 64 << 20  # bytes: some 400 for each claim of each host


def write(evidence: Evidence, out: Path) -> Path:
    """Write evidence to a new folder below `out` and point the link `latest` at it.

    + evidence: what was found
    + out: folder; made where it is missing

    Returns the new folder: INVENTORY-TIME-BUNDLE. It is there with all its files or not at all.
    """
    moment = evidence.verified_at.strftime("%Y%m%dT%H%M%SZ")
    digest = evidence.bundle.removeprefix("sha256:")[:12]
    folder = out / f"{evidence.inventory}-{moment}-{digest}"
    out.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=out))
    try:
        write_atomically(
            partial / "evidence.json", canonical_json(evidence.model_dump(mode="json"), indent=1)
        )
        write_atomically(partial / "evidence.xml", junit.render(evidence))
        write_atomically(partial / "evidence.html", page.render(evidence))
        partial.chmod(0o755)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial)
        raise
    _point(out / "latest", folder.name)
    return folder


def lasting_folder(inventory: Inventory) -> Path:
    """Where a site's evidence stays: beside its depot, where no release takes it away."""
    return inventory.hosts[0].settings.depot.absolute().parent / EVIDENCE


def last_evidence(
    inventory: Inventory, bundle: str, in_doubt: Collection[tuple[str, str]] = ()
) -> tuple[Evidence, ...]:
    """The newest evidence of each host of a site about a bundle, that of hosts verified together in one.

    + bundle: digest
    + in_doubt: names of evidence, and hosts that did not pass with it

    Raises SealiftError where there is none, or the newest of a host is in doubt.
    """
    folder = lasting_folder(inventory)
    form = re.compile(rf"{re.escape(inventory.name)}-[0-9]{{8}}T[0-9]{{6}}Z-{bundle[7:19]}")
    left = set(inventory.whole.names)
    found: list[Evidence] = []
    for path in sorted(folder.glob(f"{inventory.name}-*"), reverse=True):
        if left and form.fullmatch(path.name):
            evidence = read_evidence(path / "evidence.json")
            hosts = tuple(host for host in evidence.hosts if host.name in left)
            if evidence.bundle == bundle and hosts:
                if failed := [host.name for host in hosts if (path.name, host.name) in in_doubt]:
                    raise SealiftError(
                        f"{path}: is of a rollout whose gate {', '.join(failed)} did not pass, expected one "
                        f"that passed. Roll out again, or verify what runs: sealift verify {inventory.name}"
                    )
                found.append(evidence.model_copy(update={"hosts": hosts}).of_its_hosts)
                left -= {host.name for host in hosts}
    if not found:
        raise SealiftError(
            f"{folder}: has no evidence of {inventory.name} about {bundle}, expected that of a verification. "
            f"Make it: sealift verify {inventory.name}"
        )
    return tuple(found)


def read_evidence(path: Path) -> Evidence:
    """Evidence as `write` wrote it. Raises SealiftError where it is none."""
    try:
        return Evidence.model_validate(parse_json(read_limited(path, _LIMIT), str(path), keys=MOST_NAMED))
    except ValidationError as error:
        raise SealiftError(
            f"{path}: {mistakes.first(error)}, expected evidence. Verify again: sealift verify"
        ) from None


def _point(link: Path, target: str) -> None:
    new = link.with_name(f".{link.name}.{target}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.rename(link)
    sync_folder(link.parent)
