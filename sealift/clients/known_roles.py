"""Roles that a client is to have, held against those that its site's releases have."""

from __future__ import annotations

from collections.abc import Sequence

from sealift.errors import SealiftError
from sealift.fleet.behind import stored_releases
from sealift.site.inventory import Inventory
from sealift.site.secrets import ACCEPTANCE


def roles_warning(inventory: Inventory, client: str, roles: Sequence[str]) -> str | None:
    """Why it is not known whether a site has roles; None where it has them.

    Clients are of the whole site, whichever of its hosts are meant. The client `acceptance` may have the role
    of its own name, which no release has.

    + roles: names of roles, or of models as MODEL:TAG

    Raises SealiftError naming those that there are, where no host of the site has one.
    """
    asked = {role for role in roles if (client, role) != (ACCEPTANCE, ACCEPTANCE)}
    if not asked:
        return None
    hosts = inventory.whole.hosts
    try:
        stored = stored_releases(hosts)
    except SealiftError as error:
        return f"{', '.join(sorted(asked))}: it is not known whether a host here serves this. {error}"
    locks = [(host.groups, stored[host.settings.depot, host.settings.release].lock) for host in hosts]
    served = {role for groups, lock in locks for role in lock.release.roles_for(groups)}
    models = {model for groups, lock in locks for model in lock.models_for(groups)}
    unknown = asked - served - models - {model.removesuffix(":latest") for model in models}
    if unknown:
        raise SealiftError(
            f"{', '.join(sorted(unknown))}: no host here serves this role. The roles here: "
            f"{', '.join(sorted(served)) or 'none'}; the models: {', '.join(sorted(models)) or 'none'}."
        )
    return None
