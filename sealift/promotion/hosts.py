"""What hosts run now, asked for the rule."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sealift.errors import SealiftError
from sealift.fleet.status import bundles_in_use, fleet_standing
from sealift.fleet.survey import Target
from sealift.promotion.rule import Stands, Verdict
from sealift.promotion.site import permitted, promotion_of
from sealift.site.inventory import Inventory


def what_stands(targets: tuple[Target, ...]) -> Mapping[str, Stands]:
    """What hosts run now, by name, asked all at once.

    Raises SealiftError with a line per host that does not say it.
    """
    found = fleet_standing(targets)
    bundles_in_use(found)
    return {each.host: Stands(each.standing.release, each.standing.bundle) for each in found if each.standing}


def permitted_there(inventory: Inventory, targets: tuple[Target, ...], now: datetime) -> Verdict:
    """Whether hosts take their releases; they are asked what they run.

    + targets: hosts of the inventory

    Raises SealiftError where a host does not answer.
    """
    stored = {target.host.name: target.stored for target in targets}
    return permitted(inventory, stored, what_stands(targets), now)


def require_promoted(inventory: Inventory, targets: tuple[Target, ...], now: datetime) -> Verdict:
    """Whether `sealift apply` may bring hosts their releases: where the site asks for records or approvals.

    Raises SealiftError with why not, where it may not.
    """
    settings = promotion_of(inventory)
    if not settings.from_ and not settings.approvals:
        return Verdict(())
    verdict = permitted_there(inventory, targets, now)
    if verdict.problems:
        raise SealiftError("\n".join((*verdict.problems, "Refused: nothing was changed on any host.")))
    return verdict
