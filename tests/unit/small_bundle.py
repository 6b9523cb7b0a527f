"""What tests of a small bundle share: its import, its largest blob."""

from __future__ import annotations

from pathlib import Path

from sealift.depot.importing import Imported, import_bundle
from sealift.depot.store import Depot
from sealift.progress import silent
from tests.unit import samples
from tests.unit.samples import Site


def import_small(site: Site, bundle: Path) -> Imported:
    return import_bundle(Depot(site.sources.parent / "depot"), bundle, site.allowed, silent)


def weights_of(site: Site) -> str:
    return max(site.lock.models[samples.MODEL].layers, key=lambda blob: blob.size).hex
