"""A host as front doors see it: where its gateway is, and what it may be asked for."""

from __future__ import annotations

from dataclasses import dataclass

from sealift.host.settings import SiteSettings, in_force
from sealift.release.locked import Lock
from sealift.services import GATEWAY


@dataclass(frozen=True)
class Behind:
    """A host behind the front doors.

    + name: its own in the inventory, which its certificate is for
    + address: IP address of its gateway
    + port: TCP, of its gateway
    + names: by which clients may ask there, whatever its memory decides
    + context: tokens that it loads models with
    + idle_timeout_s: seconds after which its gateway gives an answer up
    + drained: whether it is sent nothing
    """

    name: str
    address: str
    port: int
    names: tuple[str, ...]
    context: int
    idle_timeout_s: int
    drained: bool


def behind(
    name: str, groups: frozenset[str], settings: SiteSettings, lock: Lock, *, address: str, drained: bool
) -> Behind | None:
    """A host as front doors see it; None where it answers no role.

    + groups: of the host in the inventory
    + settings: what the inventory says
    + lock: what its release pins
    """
    roles = lock.release.roles_for(groups)
    if not roles or GATEWAY not in lock.release.services_for(groups):
        return None
    return Behind(
        name=name,
        address=address,
        port=settings.gateway.port,
        names=_names(lock, groups),
        context=in_force(settings.ollama, roles.values()).context_length,
        idle_timeout_s=settings.gateway.idle_timeout_s,
        drained=drained,
    )


def _names(lock: Lock, groups: frozenset[str]) -> tuple[str, ...]:
    """Its roles, and the models that it has in any case.

    Of a role with fallbacks, its memory decides which model is there: such a one is not asked for by its own
    name here.
    """
    roles = lock.release.roles_for(groups)
    open_ = {model for role in roles.values() if role.fallback for model in role.candidates}
    certain = {role.model for role in roles.values() if not role.fallback}
    models = lock.models_for(groups).keys() - (open_ - certain)
    return tuple(sorted({name.removesuffix(":latest") for name in (*roles, *models)}))
