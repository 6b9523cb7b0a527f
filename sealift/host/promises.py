"""What roles promise on a host: the release's figures, or those of a site that knows its hosts better."""

from __future__ import annotations

from collections.abc import Iterator

from sealift.host.settings import SiteSettings
from sealift.release.objectives import Objectives
from sealift.release.role import Role
from sealift.release.types import Release


def objectives_there(settings: SiteSettings, name: str, role: Role) -> Objectives:
    """What a role promises on a host.

    + settings: what the inventory says of the host
    + name: of the role
    + role: as its release has it
    """
    return role.objectives.instead(settings.objectives.get(name, Objectives()))


def idle_objectives(settings: SiteSettings, release: Release) -> Iterator[str]:
    """Settings that change nothing, since the release promises no such thing, a line each."""
    for name, objectives in sorted(settings.objectives.items()):
        if name not in release.roles:
            yield (
                f"objectives.{name}: changes nothing, for {release.reference} has no such role. Expected one "
                f"of {', '.join(sorted(release.roles))}. Correct it, or take it out"
            )
            continue
        promised = release.roles[name].objectives
        for idle in sorted(set(objectives.figures) - set(promised.both(objectives))):
            yield (
                f"objectives.{name}.{idle}: changes nothing, for {release.reference} promises no {idle} of "
                f"{name}. Take it out"
            )
