"""What stands on every host of a fleet, and all that `apply` would change there: one SSH command per host."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from sealift.depot.repository import SignedRepository
from sealift.depot.store import Depot, signed_repository
from sealift.drift.asking import differences, questions, script
from sealift.drift.check import Check
from sealift.drift.checks import checks
from sealift.errors import SealiftError
from sealift.fleet import status
from sealift.fleet.status import Standing, parse_status, status_script
from sealift.fleet.survey import (
    Survey,
    Surveyed,
    Target,
    first_choice,
    glance,
    glance_script,
    look,
    survey_script,
    with_site,
    with_twins,
)
from sealift.host import probe
from sealift.host.engine import asking
from sealift.host.root import lost_link
from sealift.host.wanted import Wanted
from sealift.site.drained import read_drained
from sealift.ssh import on_all


@dataclass(frozen=True)
class HostStatus:
    """A host's standing, or why there is none; and what differs from what the inventory wants.

    + drained: whether front doors send it nothing
    """

    host: str
    wanted: str
    standing: Standing | None
    error: str | None
    differs: tuple[str, ...]
    drained: bool = False

    @property
    def ok(self) -> bool:
        """Whether it answers, and all is as the inventory wants it."""
        return self.standing is not None and not self.differs


@dataclass(frozen=True)
class Known:
    """All that one SSH command per host tells of a fleet.

    + survey: whether each can take its release, and what it is to be
    """

    statuses: tuple[HostStatus, ...]
    survey: Survey


def fleet_status(found: tuple[Target, ...], bare: bool = False) -> tuple[HostStatus, ...]:
    """Ask all hosts at once. Those that do not answer are listed with the error.

    + bare: whether all that a host lacks is told where nothing was deployed yet, too
    """
    return _ask_fleet(found, bare, preflight=False).statuses


def ask_fleet(found: tuple[Target, ...], bare: bool = False) -> Known:
    """Ask all hosts at once what stands there, and whether they can take their releases.

    + bare: as in `fleet_status`
    """
    return _ask_fleet(found, bare, preflight=True)


def _ask_fleet(found: tuple[Target, ...], bare: bool, preflight: bool) -> Known:
    by_name = {target.host.name: target for target in found}
    gathered = on_all(list(by_name), lambda name: _ask(by_name[name], bare, preflight))
    statuses = []
    surveyed = {}
    for name, target in by_name.items():
        error = gathered.errors.get(name)
        lost = Surveyed(problems=tuple(str(error).splitlines()))
        standing, differs, surveyed[name] = gathered.results.get(name, (None, (), lost))
        drained = name in read_drained(target.host.settings)
        said = str(error) if error else None
        statuses.append(HostStatus(name, target.release, standing, said, differs, drained))
    return Known(tuple(statuses), Survey(with_twins(surveyed)))


def _ask(target: Target, bare: bool, preflight: bool) -> tuple[Standing, tuple[str, ...], Surveyed]:
    """A host's standing, what differs there, and what was found out about it.

    What is asked for does not depend on which models answer, what is expected does.

    + preflight: whether it is asked, too, what speaks against a change
    """
    likely: Wanted | None = None
    with suppress(SealiftError):  # of the site's secrets or certificates, which the survey tells
        likely = first_choice(target)
    asked = checks(likely, _repository(target)) if likely else ()
    settings = target.host.settings
    first, more = (survey_script, probe.QUESTIONS) if preflight else (glance_script, ())
    to_docker = asking((*more, *status.QUESTIONS, *questions(asked)))
    scripts = first(settings), status_script(settings), to_docker, script(asked)
    said = target.host.ssh.run_long("\n".join(scripts))
    standing = parse_status(target.host.name, said)
    room, surveyed = glance(target, said, likely)
    if preflight:
        surveyed = look(target, said, datetime.now(UTC), likely)
    if preflight or surveyed.wanted is None:
        surveyed = with_site(target, surveyed)
    lost = lost_link(room.root_folder, settings)
    # without the link all else is where nothing looks for it
    differs = (lost,) if lost else _differs(standing, surveyed, asked, likely, said, target, bare)
    return standing, differs, surveyed


def _differs(
    standing: Standing,
    surveyed: Surveyed,
    asked: tuple[Check, ...],
    likely: Wanted | None,
    said: str,
    target: Target,
    bare: bool,
) -> tuple[str, ...]:
    if surveyed.wanted is None:
        return surveyed.problems
    if standing.generation is None and not bare:
        return ("nothing deployed",)
    right = asked if surveyed.wanted is likely else checks(surveyed.wanted, _repository(target))
    return (
        *_release(standing, surveyed),
        *differences(right, said),
        *_store(surveyed),
        *(f"role {role} does not answer: {why}" for role, why in standing.failed.items()),
    )


def _repository(target: Target) -> SignedRepository:
    return signed_repository(Depot(target.host.settings.depot), target.stored)


def _release(standing: Standing, surveyed: Surveyed) -> tuple[str, ...]:
    wanted = surveyed.wanted
    if wanted is None or standing.bundle in (None, wanted.bundle):
        return ()
    return (f"runs {standing.release} of {str(standing.bundle)[:19]}",)


def _store(surveyed: Surveyed) -> tuple[str, ...]:
    """What is wrong with the host store, by size and time of its blobs."""
    plan = surveyed.plan
    if plan is None:
        return ()
    lacking = [f"{len(plan.items)} blobs missing in the host store"] if plan.items else []
    touched = [f"{len(plan.check)} blobs of the host store were touched"] if plan.check else []
    return (*lacking, *touched)
