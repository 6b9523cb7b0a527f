"""A site with a depot, keys of people and a list of who may say what, for the tests of promotion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot, StoredRelease
from sealift.evidence.code import code_digest
from sealift.evidence.types import ClaimResult, Evidence, VerifiedHost
from sealift.progress import silent
from sealift.promotion.kept import sign_statement
from sealift.promotion.making import record_of
from sealift.promotion.rule import Stands, Verdict
from sealift.promotion.site import permitted
from sealift.promotion.statements import Record, Statement
from sealift.site.inventory import Inventory, parse_inventory
from tests.unit import samples, tiny
from tests.unit.fleet_site import DATA

NOW = datetime(2026, 11, 29, 20, 15, tzinfo=UTC)
HOSTS = ("h1", "h2")
LISTED = {
    "stage": "sealift-promotion",
    "anna": "sealift-approval,sealift-override",
    "ben": "sealift-approval",
    "eve": "",  # on no list
}


@dataclass(frozen=True)
class Promoting:
    """A site of two hosts; its depot has demo:2026.11.0."""

    folder: Path
    stored: StoredRelease

    def inventory(self, name: str = "prod", /, **promotion: Any) -> Inventory:
        """The inventory of an environment."""
        data = {
            **DATA,
            "depot": str(self.folder / "depot"),
            "promotion": {"signers": str(self.folder / "signers"), **promotion},
        }
        raw = [{"name": host, "groups": ["llm"], "data": data} for host in HOSTS]
        return parse_inventory(Path(f"{name}.py"), raw)

    def key(self, who: str) -> Path:
        """The key of somebody."""
        return self.folder / who

    def say(self, statement: Statement, who: str) -> Path:
        """Have somebody sign a statement, into the site's folder."""
        return sign_statement(statement, self.key(who), self.folder / "promotions")

    def verdict(
        self,
        inventory: Inventory,
        stands: Mapping[str, Stands] | None = None,
        now: datetime = NOW,
        plan: str | None = None,
    ) -> Verdict:
        """Whether the site takes the release."""
        return permitted(inventory, dict.fromkeys(HOSTS, self.stored), stands or {}, now, plan)

    def evidence(self, **changes: Any) -> Evidence:
        """What a verification of staging finds."""
        values: dict[str, Any] = {
            "inventory": "staging",
            "release": self.stored.lock.release.reference,
            "bundle": self.stored.digest,
            "verified_at": NOW - timedelta(hours=1),
            "verified_on": "control",
            "code": code_digest(),
            "hosts": tuple(VerifiedHost(name=host, address="10.0.0.1", groups=()) for host in HOSTS),
            "results": tuple(claim(host, area) for host in HOSTS for area in ("docker", "gateway")),
        }
        return Evidence.model_validate({**values, **changes})

    def passed(self, **changes: Any) -> Record:
        """A record of what a verification of staging found."""
        return record_of(HOSTS, [self.evidence(**changes)], NOW)


def claim(host: str, area: str, **changes: Any) -> ClaimResult:
    """A claim that holds."""
    values = {"host": host, "area": area, "name": "test_it", "claim": "It runs.", "outcome": "passed"}
    return ClaimResult.model_validate({**values, "seconds": 1, **changes})


def make(folder: Path) -> Promoting:
    """A site; its keys and its depot lie in a folder."""
    small = tiny.site(folder)
    stored = import_bundle(Depot(folder / "depot"), folder / "bundle", small.allowed, silent).stored
    lines = []
    for who, namespaces in LISTED.items():
        public = samples.signing_key(folder / who).with_suffix(".pub").read_text()
        if namespaces:
            lines.append(f'{who}@example.org namespaces="{namespaces}" {public}')
    (folder / "signers").write_text("".join(lines))
    return Promoting(folder, stored)
