"""Puts what came of a rollout on disk beside its journal, as JSON, JUnit and a page; and the list of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from sealift import svg
from sealift.bundle.signature import sign
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.evidence import junit
from sealift.evidence.page import rendered
from sealift.evidence.record import lasting_folder, read_evidence
from sealift.evidence.types import Evidence
from sealift.files import canonical_json, read_limited, write_atomically
from sealift.oci.layout import SBOM_REF, SBOM_TYPE
from sealift.progress import Progress, silent
from sealift.rollout.journal import Journal, folders, rollouts_folder
from sealift.rollout.plots import charts, measured
from sealift.rollout.report import Report, as_evidence, report
from sealift.site.inventory import Inventory

NAMESPACE = "sealift-rollout"  # what a signature of a rollout is good for
JSON, SIGNATURE, PAGE, JUNIT = (
    "rollout.json",
    "rollout.json.sig",
    "rollout.html",
    "rollout.xml",
)
_LIMIT = 64 << 20  # bytes of a rollout.json
_RECENT = 20  # rollouts that are looked at for such as have no page
_MOST = 500  # rollouts that the index lists
_DRAWN = 40  # verifications that pictures show


def write(site: Inventory, journal: Journal, key: Path | None, progress: Progress = silent) -> Path:
    """Write what came of a rollout that is closed; gives the page. So it is of those that were killed before.

    + key: OpenSSH key that signs the JSON; None where the site has none

    Raises SealiftError where it cannot be signed; all else is written by then.
    """
    for folder in folders(site)[1:_RECENT]:
        with suppress(SealiftError):
            earlier = Journal(folder)
            if earlier.is_closed and not (folder / JSON).exists():
                _write(site, earlier, None, progress)
    return _write(site, journal, key, progress)


def _write(site: Inventory, journal: Journal, key: Path | None, progress: Progress) -> Path:
    opened = journal.opened
    made = report(journal.events, _sbom(site, opened.bundle))
    verified = tuple(_verified(site, made.evidence))
    history = _history(site)
    before = [evidence for evidence in history if evidence.verified_at < made.began]
    content = canonical_json(made.model_dump(mode="json"), indent=1)
    write_atomically(journal.folder / JSON, content)
    write_atomically(journal.folder / JUNIT, junit.render(as_evidence(made, verified)))
    rows = _objectives(before, verified)
    page = rendered(
        "rollout.html.j2",
        made=made,
        verified=verified,
        objectives=rows,
        charts=charts(history),
        style=svg.STYLE,
        signed=key is not None,
    )
    write_atomically(journal.folder / PAGE, page)
    write_index(site)
    if key is not None:
        write_atomically(journal.folder / SIGNATURE, sign(content, key, NAMESPACE, progress))
    return journal.folder / PAGE


def write_index(site: Inventory) -> None:
    """Write the list of a site's rollouts."""
    found = [each for folder in folders(site)[:_MOST] if (each := _read(folder / JSON))]
    page = rendered("rollouts.html.j2", site=site.name, rollouts=found)
    write_atomically(rollouts_folder(site) / f"{site.name}.html", page)


def _read(path: Path) -> Report | None:
    with suppress(SealiftError, ValidationError):  # one that was not ended has none
        return Report.model_validate_json(read_limited(path, _LIMIT))
    return None


def _sbom(site: Inventory, bundle: str) -> str:
    """The digest of a bundle's SBOM; empty where the depot has none of it."""
    with suppress(SealiftError):
        layout = Depot(site.hosts[0].settings.depot).layout(bundle)
        layers = (layer for e in layout.entries if e.ref == SBOM_REF for layer in e.manifest.layers)
        return next((layer.blob.digest for layer in layers if layer.media_type == SBOM_TYPE), "")
    return ""


def _verified(site: Inventory, names: Sequence[str]) -> Iterator[Evidence]:
    for name in names:
        with suppress(SealiftError):
            yield read_evidence(lasting_folder(site) / name / "evidence.json")


def _history(site: Inventory) -> list[Evidence]:
    """The last verifications, in the order of time."""
    paths = sorted(lasting_folder(site).glob(f"{site.name}-*"), key=lambda path: path.name)
    found = []
    for path in [path for path in paths if not path.is_symlink()][-_DRAWN:]:
        with suppress(SealiftError):
            found.append(read_evidence(path / "evidence.json"))
    return sorted(found, key=lambda evidence: evidence.verified_at)


def _objectives(
    before: Sequence[Evidence], after: Sequence[Evidence]
) -> list[tuple[str, str, str, str, str]]:
    """Host, role, objective, what was seen before, and after.

    + before: the latest is the last
    """
    old = {
        (claim.host, role, name): said
        for evidence in before
        for claim in evidence.results
        for role, name, said in measured(claim)
    }
    return [
        (claim.host, role, name, old.get((claim.host, role, name), ""), said)
        for evidence in after
        for claim in evidence.results
        for role, name, said in measured(claim)
    ]
