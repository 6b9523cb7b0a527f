"""What hosts run now, asked for the rule."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sealift.errors import SealiftError
from sealift.fleet.status import bundles_in_use, fleet_standing
from sealift.fleet.survey import Target
from sealift.promotion.rule import Stands, Verdict
from sealift.promotion.site import permitted
from sealift.site.inventory import Inventory


def what_stands(targets: tuple[Target, ...]) -> Mapping[str, Stands]:
    """What hosts run now, by name, asked all at once.

    Raises SealiftError with a line per host that does not say it.
    """
    found = fleet_standing(targets)
    bundles_in_use(found)
    return {each.host: Stands(each.standing.release, each.standing.bundle) for each in found if each.standing}


def permitted_there(
    inventory: Inventory, targets: tuple[Target, ...], now: datetime, plan: str | None = None
) -> Verdict:
    """Whether hosts take their releases; they are asked what they run.

    + targets: hosts of the inventory
    + plan: as in `permitted`

    Raises SealiftError where a host does not answer.
    """
    stored = {target.host.name: target.stored for target in targets}
    return permitted(inventory, stored, what_stands(targets), now, plan)


def require_permitted(
    inventory: Inventory, targets: tuple[Target, ...], now: datetime, plan: str | None = None
) -> Verdict:
    """The same. Raises SealiftError with why not, where they do not take them."""
    verdict = permitted_there(inventory, targets, now, plan)
    if verdict.problems:
        raise SealiftError("\n".join((*verdict.problems, "Refused: nothing was changed on any host.")))
    return verdict
